"""Credentials stay out of everything that is printed: settings, logs and error messages."""

import re

MASK = "***"

_USERINFO = re.compile(r"""(?<=://)(?:[^\s"'<>:/@]*:[^\s"'<>]*|[^\s"'<>/?#]*)@""")
_QUERY = re.compile(r"(?i)([?&][^=&\s]*(?:key|token|secret|password|signature|auth)[^=&\s]*=)[^&\s\"'#]+")
_BEARER = re.compile(r"(?i)(\bbearer\s+)[^\s\"',]+")


def mask(text: str) -> str:
    """Give `text` with what stands before the `@` of URLs, secret query values and bearer keys replaced.

    In doubt it hides too much: an unescaped `/` or `@` in a password does not end it.
    """
    return _BEARER.sub(rf"\1{MASK}", _QUERY.sub(rf"\1{MASK}", _USERINFO.sub(f"{MASK}@", text)))
