"""What every error answer says."""

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """`detail` is for people and may change; `code` is for programs and does not."""

    detail: str
    code: str
