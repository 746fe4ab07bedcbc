"""A record behaves as a frozen dataclass with slots does, and costs neither `dataclasses` nor `typing`."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from typing import Any

import pytest

from fnkit.records import field, record, replace


@record(frozen=True, slots=True)
class Point:
    x: int
    y: int = 2
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.x + self.y


@dataclasses.dataclass(frozen=True, slots=True)
class Real:
    x: int
    y: int = 2
    tags: dict[str, str] = dataclasses.field(default_factory=dict)


def test_values_come_by_position_by_name_and_by_default() -> None:
    point = Point(1, tags={"a": "b"})

    assert (point.x, point.y, point.tags, point.total) == (1, 2, {"a": "b"}, 3)


def test_a_default_that_can_change_is_made_anew() -> None:
    assert Point(1).tags is not Point(1).tags


def test_records_are_equal_by_their_values_and_shown_by_their_fields() -> None:
    assert Point(1) == Point(1, 2)
    assert Point(1) != Point(2)
    assert Point(1) != Real(1)
    assert repr(Point(1)) == "Point(x=1, y=2, tags={})"


def test_a_record_cannot_be_changed_and_has_no_dict() -> None:
    point = Point(1)

    with pytest.raises(AttributeError, match="cannot be changed"):
        point.x = 2  # type: ignore[misc]  # that is the test
    with pytest.raises(AttributeError, match="cannot be removed"):
        del point.x
    assert not hasattr(point, "__dict__")


@pytest.mark.parametrize(
    ("arguments", "named", "message"),
    [
        ((), {}, "needs x"),
        ((1,), {"x": 1}, "got 'x' twice"),
        ((1,), {"z": 1}, "has no field z"),
        ((1, 2, {}, 4), {}, "takes 3 values, 4 were given"),
    ],
)
def test_wrong_arguments_are_a_type_error(arguments: tuple[Any, ...], named: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Point(*arguments, **named)


def test_it_can_be_copied_pickled_replaced_and_matched() -> None:
    point = Point(1, 5, {"a": "b"})

    assert copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point
    assert replace(point, x=7) == dataclasses.replace(point, x=7) == Point(7, 5, {"a": "b"})
    match point:
        case Point(x, y):
            assert (x, y) == (1, 5)


def test_dataclasses_sees_its_fields() -> None:
    assert dataclasses.is_dataclass(Point)
    assert [one.name for one in dataclasses.fields(Point)] == ["x", "y", "tags"]
    assert dataclasses.asdict(Point(1)) == {"x": 1, "y": 2, "tags": {}}


def test_making_records_loads_neither_dataclasses_nor_typing() -> None:
    text = "import sys, fnkit.records; print(sorted({'dataclasses', 'typing', 'inspect', 're'} & set(sys.modules)))"

    loaded = subprocess.run([sys.executable, "-S", "-c", text], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == "[]"


class Shown:
    def __repr__(self) -> str:
        return "shown"


@record(frozen=True, slots=True)
class Derived(Shown):
    x: int


@record(frozen=True, slots=True)
class ByItself:  # noqa: PLW1641  # `record` gives it a hash, as `dataclass` does
    x: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByItself) and self.x % 10 == other.x % 10

    def __repr__(self) -> str:
        return f"<{self.x}>"


def test_a_record_of_a_class_with_a_base_is_one_like_any_other() -> None:
    assert repr(Derived(1)) == "Derived(x=1)"
    assert Derived(1) == Derived(1) != Derived(2)
    assert hash(Derived(1)) == hash(Derived(1))
    with pytest.raises(AttributeError):
        Derived(1).x = 2  # type: ignore[misc]  # what is tested


def test_what_a_record_says_for_itself_stands() -> None:
    assert ByItself(11) == ByItself(21) != ByItself(12)
    assert repr(ByItself(3)) == "<3>"
    assert len({ByItself(1), ByItself(1)}) == 1
