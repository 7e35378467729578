"""Typed settings hold what the mapping holds, and nothing that does not fit."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezed.foundation.settings import read_settings


@dataclass(frozen=True)
class Inner:
    depth: int
    rate: float


@dataclass(frozen=True)
class Outer:
    amount: float | str
    name: str
    flag: bool
    limit: float | None
    words: list[str]
    size: tuple[int, int]
    many: tuple[float, ...]
    kind: Literal["a", "b"]
    anything: dict[str, Any]
    inner: Inner
    maybe: Inner | None


outers = st.builds(
    Outer,
    amount=st.floats(allow_nan=False) | st.text(),
    name=st.text(),
    flag=st.booleans(),
    limit=st.none() | st.floats(allow_nan=False),
    words=st.lists(st.text()),
    size=st.tuples(st.integers(), st.integers()),
    many=st.lists(st.floats(allow_nan=False)).map(tuple),
    kind=st.sampled_from(["a", "b"]),
    anything=st.dictionaries(st.text(), st.integers() | st.none()),
    inner=st.builds(Inner, st.integers(), st.floats(allow_nan=False)),
    maybe=st.none() | st.builds(Inner, st.integers(), st.floats(allow_nan=False)),
)


def mapping_of(**changes):
    fields = {
        "amount": 0.2,
        "name": "n",
        "flag": True,
        "limit": None,
        "words": ["x"],
        "size": [1, 2],
        "many": [],
        "kind": "a",
        "anything": {},
        "inner": {"depth": 1, "rate": 0.5},
        "maybe": None,
    }
    return {**fields, **changes}


@given(outers)
def test_what_a_dataclass_holds_comes_back(settings):
    assert read_settings(Outer, dataclasses.asdict(settings)) == settings


def test_a_whole_number_is_a_float_too():
    rate = read_settings(Inner, {"depth": 1, "rate": 2}).rate
    assert rate == 2.0
    assert isinstance(rate, float)


def test_a_section_read_already_is_kept():
    inner = Inner(1, 2.0)
    assert read_settings(Outer, mapping_of(inner=inner)).inner is inner


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 3}, "Outer.name is 3"),
        ({"flag": 1}, "Outer.flag is 1"),
        ({"amount": None}, "Outer.amount is None"),
        ({"size": [1, 2, 3]}, "Outer.size"),
        ({"size": [1, "2"]}, r"Outer.size\[1\] is '2'"),
        ({"words": "x"}, "Outer.words is 'x'"),
        ({"kind": "c"}, "Outer.kind is 'c'"),
        ({"limit": "low"}, "Outer.limit"),
        ({"inner": {"depth": True, "rate": 1.0}}, "Outer.inner.depth is True"),
        ({"inner": {"depth": 1}}, r"Outer.inner: lacking keys \['rate'\], unknown keys \[\]"),
        ({"inner": {"depth": 1, "rate": 1.0, "more": 1}}, r"unknown keys \['more'\]"),
        ({"inner": 3}, "Outer.inner is 3, not a mapping"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        read_settings(Outer, mapping_of(**change))
