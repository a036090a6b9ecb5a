"""A value is what the library's dataclass of the same words would be: told by making both of each."""

import dataclasses
import functools
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pytest

from skinnybox import values

T = TypeVar("T")
Maker = Callable[..., Any]
MAKERS: tuple[Maker, Maker] = (values.dataclass, dataclasses.dataclass)


def plain(make: Maker) -> Any:
    @make(frozen=True, slots=True, kw_only=True)
    class Plain:
        """What it is."""

        size: int
        name: str = "none"
        parts: tuple[int, ...] = ()

        def twice(self) -> int:
            return 2 * self.size

    return Plain


def by_place(make: Maker) -> Any:
    @make(frozen=True, slots=True)
    class Pair(Generic[T]):
        first: T
        second: "int" = 2

    return Pair


def inheriting(make: Maker) -> Any:
    above = plain(make)

    @make(frozen=True, slots=True, kw_only=True)
    class Inheriting(above):  # type: ignore[misc, valid-type]
        """What it is besides."""

        also: int
        name: str = "another"

        def __post_init__(self) -> None:
            if self.also < 0:
                raise ValueError(self.also)

        def __str__(self) -> str:
            return f"<{self.also}>"

    return Inheriting


def without_slots(make: Maker) -> Any:
    @make(frozen=True, kw_only=True)
    class WithoutSlots:
        size: int
        name: str = "none"

        @functools.cached_property
        def twice(self) -> int:
            return 2 * self.size

    return WithoutSlots


def empty(make: Maker) -> Any:
    @make(frozen=True, slots=True)
    class Empty:
        pass

    return Empty


def by_identity(make: Maker) -> Any:
    @make(frozen=True, slots=True, eq=False)
    class ByIdentity:
        size: int

    return ByIdentity


def said(act: Callable[[], Any]) -> tuple[type, str]:
    """What comes of it, or is raised."""
    try:
        found = act()
    except Exception as error:
        return type(error), str(error)
    return type(found) if isinstance(found, int | str | bool | tuple | dict | list) else object, repr(found)


CASES: list[tuple[Callable[[Maker], Any], Callable[[Any], Any]]] = [
    *((made, act) for made in (plain, inheriting) for act in (
        lambda of: of(size=1, also=2) if "also" in of.__annotations__ else of(size=1),
        lambda of: of(),
        lambda of: of(1),
        lambda of: of(size=1, colour="red"),
        lambda of: of(size=1, name="x", **({"also": 3} if "also" in of.__annotations__ else {})).twice(),
        lambda of: [(f.name, f.default, f.kw_only, f.type) for f in dataclasses.fields(of)],
        lambda of: of.__match_args__,
        lambda of: of.__slots__,
        lambda of: of.__doc__,
        lambda of: (of.__name__, of.__qualname__, of.__module__),
        lambda of: dataclasses.is_dataclass(of),
    )),
    (plain, lambda of: of(size=1) == of(size=1) and hash(of(size=1)) == hash(of(size=1))),
    (plain, lambda of: of(size=1) == of(size=2)),
    (plain, lambda of: of(size=1) == (1, "none", ())),
    (plain, lambda of: len({of(size=1), of(size=1), of(size=2)})),
    (plain, lambda of: setattr(of(size=1), "size", 2)),
    (plain, lambda of: delattr(of(size=1), "size")),
    (plain, lambda of: of(size=1).__dict__),
    (plain, lambda of: dataclasses.asdict(of(size=1, parts=(1, 2)))),
    (plain, lambda of: dataclasses.replace(of(size=1), name="x")),
    (plain, lambda of: values.replace(of(size=1), name="x")),
    (plain, lambda of: values.replace(of(size=1), colour="x")),
    (inheriting, lambda of: of(size=1, also=-1)),
    (inheriting, lambda of: str(of(size=1, also=4))),
    (inheriting, lambda of: values.replace(of(size=1, also=4), size=3)),
    (inheriting, lambda of: of(size=1, also=4) == of.__bases__[0](size=1)),
    (by_place, lambda of: of(1)),
    (by_place, lambda of: of(1, 3)),
    (by_place, lambda of: of("x", second=3) == of("x", 3)),
    (by_place, lambda of: of()),
    (by_place, lambda of: of.__match_args__),
    (without_slots, lambda of: (of(size=1).twice, of(size=2))),
    (without_slots, lambda of: of(size=1).__dict__),
    (without_slots, lambda of: setattr(of(size=1), "size", 2)),
    (without_slots, lambda of: values.replace(of(size=1), name="x") == of(size=1, name="x")),
    (empty, lambda of: of()),
    (empty, lambda of: of() == of() and hash(of()) == hash(of())),
    (empty, lambda of: of(1)),
    (by_identity, lambda of: of(1) == of(1)),
]  # fmt: skip


@pytest.mark.parametrize(("made", "act"), CASES)
def test_it_does_what_the_librarys_does(made: Callable[[Maker], Any], act: Callable[[Any], Any]) -> None:
    ours, theirs = (said(lambda make=make: act(made(make))) for make in MAKERS)  # type: ignore[misc]
    assert ours == theirs


def test_the_first_and_the_second_are_made_alike() -> None:
    of = inheriting(values.dataclass)
    assert of(size=1, also=2) == of(size=1, also=2)
    assert [repr(of(size=n, also=2)) for n in (1, 2)] == [
        f"inheriting.<locals>.Inheriting(size={n}, name='another', parts=(), also=2)" for n in (1, 2)
    ]


def test_no_other_attribute_is_taken_either() -> None:
    """The library of Python 3.11 to 3.13 stumbles over its own slots in both."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        plain(values.dataclass)(size=1).colour = 2
    assert repr(by_place(values.dataclass)[int](1)) == repr(by_place(values.dataclass)(1))


def test_the_librarys_may_inherit_from_one() -> None:
    above = plain(values.dataclass)

    @dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
    class Below(above):  # type: ignore[misc, valid-type]
        more: int

    assert dataclasses.asdict(Below(size=1, more=2)) == {"size": 1, "name": "none", "parts": (), "more": 2}


def test_what_names_its_fields_names_those_of_its_bases() -> None:
    of = inheriting(values.dataclass)
    assert values.names(of) == ("size", "name", "parts", "also")
    assert values.defaults(of) == {"name": "another", "parts": ()}


@pytest.mark.parametrize("words", [{}, {"slots": True}, {"frozen": True, "order": True}])
def test_what_it_cannot_make_it_refuses(words: dict[str, bool]) -> None:
    with pytest.raises(TypeError):
        values.dataclass(**words)


def test_a_default_that_can_change_is_refused() -> None:
    with pytest.raises(ValueError, match="names"):

        @values.dataclass(frozen=True, slots=True)
        class _Shared:
            names: Any = []  # noqa: RUF012


def test_until_one_is_asked_for_its_fields_the_library_is_not_there() -> None:
    code = (
        "import sys; from skinnybox.values import dataclass\n"
        "@dataclass(frozen=True, slots=True)\nclass A:\n a: int\n"
        "assert A(1) == A(1) and repr(A(2)) and hash(A(3))\n"
        "print([name for name in ('dataclasses', 'inspect') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
