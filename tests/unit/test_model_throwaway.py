"""Throwing away, as people say it."""

import pytest

from skinnybox.errors import UsageError
from skinnybox.model import ThrowAway, Thrown
from skinnybox.model.kinds import THROW_AWAY
from skinnybox.model.throwaway import check_throw_away, parse_throw_away
from skinnybox.sizes import MIB

MEMORY = ThrowAway(kind=Thrown.MEMORY, size=64 * MIB)


@pytest.mark.parametrize(
    ("text", "what"),
    [("disk", ThrowAway()), ("memory", ThrowAway(kind=Thrown.MEMORY)), ("memory:64M", MEMORY)],
)
def test_what_is_written(text: str, what: ThrowAway) -> None:
    assert parse_throw_away(text) == what
    assert str(what) == text
    assert THROW_AWAY.plain and THROW_AWAY.read(THROW_AWAY.plain(what)) == what


@pytest.mark.parametrize("text", ["", "disk:", "disk:1G", "memory:", "memory:1M", "mem", "none", "web-01"])
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_throw_away(text)
    assert refused.value.hint


def test_at_most_half_of_the_memory() -> None:
    check_throw_away(MEMORY, 128 * MIB)
    with pytest.raises(UsageError, match="more than half"):
        check_throw_away(MEMORY, 127 * MIB)
    check_throw_away(ThrowAway(), 1)
    check_throw_away(None, 1)


def test_on_the_disk_it_has_no_size_of_its_own() -> None:
    with pytest.raises(ValueError, match="size"):
        THROW_AWAY.read({"kind": "disk", "size": 5})
