"""Archives that come piece by piece: what stands against one is said before all of it has come."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox.errors import Blocked, Conflict, NoArchive, NoSpace, SkinnyboxError
from skinnybox.fleet import received
from skinnybox.fleet.exporting import Export
from skinnybox.fleet.received import Sent
from skinnybox.fleet.restoring import Restore
from skinnybox.fleet.service import Fleet
from tests.fleet.conftest import SPARSE
from tests.unit.archived import unpacked

MANIFEST = 4096
"""Bytes of a small archive that hold its manifest, not packed."""


@pytest.fixture
def whole(fleet: Fleet, tmp_path: Path) -> bytes:
    fleet.create(["a", "b"], "tiny", SPARSE)
    fleet.deltas.export("a", Export(file=tmp_path / "a.tar.zst"))
    return unpacked(tmp_path / "a.tar.zst")


def coming(content: bytes, told: list[int]) -> Iterator[bytes]:
    """In pieces, until nobody asks for more."""
    for at in range(0, len(content), 100):
        told.append(at)
        yield content[at : at + 100]


def refused(fleet: Fleet, name: str, content: bytes, error: type[SkinnyboxError]) -> int:
    """How much of it was asked for."""
    told: list[int] = []
    with pytest.raises(error, match=r"sent|is here|already"):
        fleet.deltas.restore(name, Restore(sources=[Sent(called="sent", pieces=coming(content, told))]))
    assert not list(fleet._context.folder.glob(".copy-*"))
    return told[-1]


def test_what_stands_against_it_is_said_before_all_of_it_has_come(
    fleet: Fleet, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(received, "HEAD", MANIFEST)
    long = whole + bytes(10_000)
    assert refused(fleet, "a", long, Conflict) <= MANIFEST
    assert refused(fleet, "c", long, Conflict) <= MANIFEST
    assert refused(fleet, "c", bytes(10_000), NoArchive) <= MANIFEST
    told: list[int] = []
    since = Sent(called="sent", pieces=coming(long, told))
    with pytest.raises(Blocked, match="sent is an archive of another machine than b"):
        fleet.deltas.export("b", Export(file=fleet._context.folder.parent / "x", since=since))
    assert told[-1] <= MANIFEST and not list(fleet._context.folder.glob(".copy-*"))


def test_no_more_is_kept_than_there_is_room_for(
    fleet: Fleet, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = iter([None, NoSpace("no room: sent")])

    def need(folder: Path, size: int) -> None:
        if (error := next(rooms)) is not None:
            raise error

    monkeypatch.setattr(received, "need", need)
    assert refused(fleet, "c", whole, NoSpace) == 100
