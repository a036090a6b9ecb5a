"""A file that is replaced as a whole, whoever is killed in the middle of it."""

import fcntl
import re
from pathlib import Path

import pytest

from skinnybox.errors import Corrupt
from skinnybox.hosts.local.store import Store, write_atomically
from skinnybox.model import Allocation, Instance, Overlay
from skinnybox.overlays.space import reserve
from skinnybox.sizes import KIB, MIB
from tests.samples import an_instance


def test_it_is_made_and_replaced(tmp_path: Path) -> None:
    file = tmp_path / "instance.json"
    for data in (b"first", b"second, and longer" * 10_000, b""):
        write_atomically(file, data)
        assert file.read_bytes() == data
    assert list(tmp_path.iterdir()) == [file]


def test_without_its_folder_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "gone" / "instance.json", b"")


def test_what_a_killed_writer_left_goes_with_the_next(tmp_path: Path) -> None:
    file, left = tmp_path / "instance.json", tmp_path / ".instance.json.0badc0de.new"
    other = tmp_path / ".overlay.img.0badc0de.new"
    for path in (file, left, other):
        path.write_bytes(b"half")
    with left.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        write_atomically(file, b"whole")
        assert left.exists()  # its writer lives
    write_atomically(file, b"whole")
    assert not left.exists() and other.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', "[" * 100_000])
def test_a_damaged_record_is_named_and_a_missing_one_is_none(tmp_path: Path, text: str) -> None:
    store, whole, broken = Store(tmp_path), an_instance("a"), an_instance("b")
    store.folder(broken.uuid).mkdir(parents=True)
    store.define(whole)
    assert list(store.records()) == [whole]
    file = store.folder(broken.uuid) / "instance.json"
    file.write_text(text)
    with pytest.raises(Corrupt, match=re.escape(str(file))):
        list(store.records())


def an_overlay(store: Store, allocation: Allocation, written: int) -> Instance:
    """Of 8 MiB, of which so many bytes were written, in two places."""
    machine = an_instance(str(allocation), overlay=Overlay(size=8 * MIB, allocation=allocation))
    store.folder(machine.uuid).mkdir(parents=True)
    with store.overlay(machine.uuid).open("wb", buffering=0) as file:
        file.truncate(8 * MIB)
        if allocation is Allocation.RESERVED:
            reserve(file.fileno(), 8 * MIB)
        for start in (MIB, 5 * MIB):
            file.seek(start)
            file.write(b"w" * (written // 2))
    return machine


def test_what_is_reserved_is_written_when_it_is(tmp_path: Path) -> None:
    store = Store(tmp_path)
    reserved = an_overlay(store, Allocation.RESERVED, 64 * KIB)
    sparse = an_overlay(store, Allocation.SPARSE, 256 * KIB)
    seen = store.space([reserved], ())
    assert (seen.promised, seen.written, seen.owed) == (8 * MIB, 64 * KIB, 0)
    assert seen.allocated >= 8 * MIB
    seen = store.space([sparse], ())
    assert (seen.promised, seen.written, seen.owed) == (8 * MIB, 256 * KIB, 8 * MIB - 256 * KIB)
    assert seen.allocated == 256 * KIB
    both = store.space([reserved, sparse], ())
    assert (both.written, both.owed) == (320 * KIB, 8 * MIB - 256 * KIB)


def test_what_is_in_an_overlay_s_place_is_not_followed(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    machine = an_overlay(store, Allocation.RESERVED, 64 * KIB)
    store.overlay(machine.uuid).rename(tmp_path / "elsewhere")
    store.overlay(machine.uuid).symlink_to(tmp_path / "elsewhere")
    assert store.space([machine], ()).written == 0


def test_no_machine_is_compared_with_another_for_the_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking each up in a list of all took 22 s for ten thousand of them."""

    def compared(*_: object) -> bool:
        raise AssertionError("two machines were compared")

    machines = [an_instance(f"m-{number}") for number in range(3)]
    monkeypatch.setattr(Instance, "__eq__", compared)
    assert Store(tmp_path).space(machines, ()).instances == 3
