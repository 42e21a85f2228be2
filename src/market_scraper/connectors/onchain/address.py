"""Addresses from a setting that may be a host's root, a base path or the whole resource."""

from urllib.parse import urlsplit, urlunsplit


def root(base: str, *resources: str) -> str:
    """The base without the end of its path that one of the resources' paths begins with, and without a last slash.

    `http://h/x/v4` for `/v4/timeseries` gives `http://h/x`: then root + resource is the address, however much of it
    the setting had already. The longest such end counts. Query and fragment have no place in a base and are dropped.
    """
    parts = urlsplit(base)
    path = parts.path.rstrip("/").split("/")
    path = path[: len(path) - max((_overlap(path, _segments(resource)) for resource in resources), default=0)]
    return urlunsplit((parts.scheme, parts.netloc, "/".join(path), "", ""))


def join(base: str, resource: str) -> str:
    """The address of `resource` (an absolute path) under the base; what both have is not repeated."""
    return root(base, resource) + resource


def file(base: str, resource: str) -> str:
    """The address of a file (`/a/b.csv`): the base as it is when it names a file of that kind, else `join`."""
    kind = "." + resource.rpartition(".")[2]
    return base if urlsplit(base).path.lower().endswith(kind) else join(base, resource)


def _segments(resource: str) -> list[str]:
    return resource.rstrip("/").split("/")


def _overlap(path: list[str], resource: list[str]) -> int:
    """How many of the path's last segments are the resource's first ones. Both begin with an empty segment."""
    path, resource = path[1:], resource[1:]
    longest = min(len(path), len(resource))
    return next((n for n in range(longest, 0, -1) if path[-n:] == resource[:n]), 0)
