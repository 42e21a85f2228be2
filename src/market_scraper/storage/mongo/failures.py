"""The driver's errors in the house's words: wait and ask again, or never mind this row."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import zstandard
from bson.errors import InvalidDocument
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    OperationFailure,
    PyMongoError,
)

from market_scraper.domain.errors import InvalidInput, StoreError, StoreUnreachable

DUPLICATE = 11_000  # the unique key is taken
NO_SUCH_COMMAND = 59
_NEVER = frozenset({2, 52, 57, 10_334, 17_280})  # BadValue, $ or . in a name, too large a document or key


@contextmanager
def translated(hosts: str) -> Iterator[None]:
    """Raise InvalidInput for a row that MongoDB refuses, StoreUnreachable when no server answers, and StoreError for
    all else. Texts name hosts, never users or passwords."""
    try:
        yield
    except (InvalidDocument, OverflowError, UnicodeEncodeError) as error:
        raise InvalidInput(f"refused by MongoDB: {type(error).__name__}: {str(error)[:200]}") from error
    except BulkWriteError as error:
        refused = [each for each in error.details.get("writeErrors", ()) if each.get("code") in _NEVER]
        if refused:
            raise InvalidInput(f"refused by MongoDB: {_told(refused[0])}") from error
        problems = [*error.details.get("writeErrors", ()), *error.details.get("writeConcernErrors", ())]
        raise StoreError(f"MongoDB at {hosts}: {_told(problems[0]) if problems else 'not written'}") from error
    except ConnectionFailure as error:
        raise StoreUnreachable(f"MongoDB at {hosts} cannot be reached: {_first_words(error, hosts)}") from error
    except OperationFailure as error:
        raise StoreError(f"MongoDB at {hosts}: {_told(error.details or {'errmsg': str(error)})}") from error
    except ConfigurationError as error:
        raise StoreUnreachable(f"MongoDB at {hosts} cannot be used: {_first_words(error)}") from error
    except PyMongoError as error:
        raise StoreError(f"MongoDB at {hosts}: {_first_words(error)}") from error


@contextmanager
def readable(hosts: str) -> Iterator[None]:
    """The same around reading: nobody's input is at fault, the documents are not as we left them."""
    try:
        with translated(hosts):
            yield
    except (InvalidInput, ValueError, LookupError, TypeError, msgspec.MsgspecError, zstandard.ZstdError) as error:
        raise StoreError(f"MongoDB at {hosts} holds what cannot be read: {error}") from error


def _told(details: object) -> str:
    """The server's own message, shortened: some repeat the whole document."""
    message = details.get("errmsg") if isinstance(details, dict) else None
    return str(message or "no reason given").splitlines()[0][:200]


def _first_words(error: PyMongoError, hosts: str = "") -> str:
    """What happened, without the driver's account of its timeouts and of every server."""
    text = str(error).partition(", Timeout:")[0].partition(" (configured timeouts")[0]
    text = text.partition("\n")[0].removeprefix(f"{hosts}: ")  # named already
    return text[:200] or type(error).__name__
