"""Hypothesis strategies for our own structs, derived from their types."""

import types
import typing
from enum import Enum
from typing import Any

import msgspec
from hypothesis import strategies as st

from market_scraper.domain.events import Event

_LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**53), 2**53),
    float: st.floats(allow_nan=False),
    str: st.text(max_size=8),
    bool: st.booleans(),
    type(None): st.none(),
}


def of_type(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type as our structs use them: leaves, enums, optionals, tuples, dicts and structs."""
    kind = getattr(kind, "__supertype__", kind)  # a NewType is what it is made of
    if kind in _LEAVES:
        return _LEAVES[kind]
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = typing.get_type_hints(kind)
        fields = {name: of_type(hints[name]) for name in kind.__struct_fields__}
        return st.fixed_dictionaries(fields).map(lambda values: kind(**values))
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(of_type, arguments))
    if origin is tuple:
        return st.lists(of_type(arguments[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(of_type(arguments[0]), of_type(arguments[1]), max_size=2)
    raise NotImplementedError(f"no strategy for {kind}")


def events(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Any event of one kind."""
    return typing.cast(st.SearchStrategy[Event], of_type(kind))
