"""A file that is replaced as a whole, whoever is killed in the middle of it."""

import fcntl
import re
from pathlib import Path

import pytest

from skinnybox.errors import Corrupt
from skinnybox.hosts.local.store import Store, write_atomically
from skinnybox.model import Allocation, Instance, Overlay
from skinnybox.sizes import MIB
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


def test_space_compares_no_machine_with_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with each took 22 seconds for ten thousand."""
    sparse = Overlay(size=64 * MIB, allocation=Allocation.SPARSE)
    machines = [an_instance(f"m-{number}", overlay=overlay) for number, overlay in enumerate(
        [sparse, sparse, Overlay(size=32 * MIB), Overlay(size=32 * MIB)]
    )]  # fmt: skip

    def compared(*_: object) -> bool:
        raise AssertionError("two machines were compared")

    monkeypatch.setattr(Instance, "__eq__", compared)
    found = Store(tmp_path).space(machines, ())
    assert (found.instances, found.promised, found.reserved_unwritten) == (4, 192 * MIB, 64 * MIB)
