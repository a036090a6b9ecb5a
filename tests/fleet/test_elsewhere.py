"""What other hypervisors need: a master as a disk, and the disk that tells a machine who it is."""

import errno
import os
import stat
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from skinnybox import wire
from skinnybox.errors import Conflict, NotFound, Unsupported, UsageError
from skinnybox.fleet.output_file import appearing, handed_out
from skinnybox.fleet.service import Fleet
from skinnybox.masters import efi
from skinnybox.model import Master, SeedFile
from skinnybox.overlays.seed import told_disk
from skinnybox.sizes import MIB
from tests.fleet.conftest import SPARSE
from tests.samples import seal

pytestmark = pytest.mark.image


def test_the_disk_that_tells_a_machine_who_it_is(fleet: Fleet, tmp_path: Path) -> None:
    (instance,) = fleet.create(["a"], "tiny", SPARSE)
    file = tmp_path / "told.img"
    fleet.overlays.seed_disk("a", file, master_disk="sda", overlay_disk="sdb", blank=True)
    assert file.stat().st_size == MIB
    told = wire.decode(file.read_bytes(), "told")
    assert [told.get(key) for key in ("instance", "format", "master", "overlay")] == [
        str(instance.uuid), str(instance.uuid), "sda", "sdb",
    ]  # fmt: skip
    (seed,) = told.all("seed")
    assert wire.decode(seed.payload or b"", "seed").get("hostname") == "a"
    with pytest.raises(Conflict, match="exists already"):
        fleet.overlays.seed_disk("a", file, master_disk="sda", overlay_disk="sdb", blank=False)


def test_a_machine_that_maps_its_master_has_no_disk_to_be_told_of(
    fleet: Fleet, state: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    seal(state, tmp_path, "mapped", "1", dax=True)
    fleet.create(["a"], "mapped", replace(SPARSE, dax=True))
    with pytest.raises(Unsupported, match="maps its master"):
        fleet.overlays.seed_disk("a", tmp_path / "x", master_disk="m", overlay_disk="o", blank=False)


def test_a_seed_that_no_guest_would_read(fleet: Fleet) -> None:
    from dataclasses import replace

    (instance,) = fleet.create(["a"], "tiny", SPARSE)
    large = replace(instance.seed, files=(SeedFile(path="/big", content=bytes(7 * MIB)),))
    with pytest.raises(UsageError, match="too large"):
        told_disk(replace(instance, seed=large), master="a", overlay="b", nonce="c")


def test_a_master_as_a_disk(fleet: Fleet, tmp_path: Path) -> None:
    if efi.missing():
        pytest.skip(f"needs {' '.join(efi.missing())}")
    file = tmp_path / "master.img"
    fleet.masters.disk("tiny", file)
    assert file.read_bytes()[512:520] == b"EFI PART"
    assert (
        sorted(path.name for path in tmp_path.iterdir() if "part" in path.name or ".new" in path.name) == []
    )


def test_a_master_that_could_not_be_told(fleet: Fleet, master: Master, state: Path, tmp_path: Path) -> None:
    seal(state, tmp_path, "old", "1", protocol=1)
    with pytest.raises(Unsupported, match="too old to boot from a disk"):
        fleet.masters.disk("old", tmp_path / "old.img")
    assert not list(tmp_path.glob("old.img*"))


def test_what_fails_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyError), handed_out(tmp_path / "x") as part:
        part.write_bytes(b"half")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_name_taken_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="meanwhile"), handed_out(tmp_path / "x") as part:
        part.write_bytes(b"ours")
        (tmp_path / "x").write_bytes(b"theirs")
    assert (tmp_path / "x").read_bytes() == b"theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("taken", [False, True])
def test_a_filesystem_without_hard_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    """A stick's: exFAT answered so to link() on Linux 6.18."""

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    meanwhile = pytest.raises(Conflict, match="meanwhile") if taken else nullcontext()
    with meanwhile, handed_out(tmp_path / "x") as part:
        part.write_bytes(b"ours")
        if taken:
            (tmp_path / "x").write_bytes(b"theirs")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == (b"theirs" if taken else b"ours")
    assert taken or stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600


def test_two_do_not_make_one_file(tmp_path: Path) -> None:
    with handed_out(tmp_path / "x"), pytest.raises(Conflict, match="part exists already") as caught:
        handed_out(tmp_path / "x").__enter__()
    assert caught.value.hint and "another command" in caught.value.hint


@pytest.mark.parametrize("nameless", [True, False])
def test_a_file_that_is_filled_appears_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nameless: bool
) -> None:
    usual = os.open

    def without(path: Path, flags: int, mode: int = 0o777, **more: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE and not nameless:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return usual(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", without)
    with appearing(tmp_path / "x") as file:
        os.write(file, b"ours")
        assert [path.name for path in tmp_path.iterdir()] == ([] if nameless else ["x.part"])
    assert (tmp_path / "x").read_bytes() == b"ours"
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600
    with pytest.raises(Conflict, match="exists already"):
        appearing(tmp_path / "x").__enter__()
    with pytest.raises(KeyError), appearing(tmp_path / "y"):
        raise KeyError
    with pytest.raises(Conflict, match="meanwhile"), appearing(tmp_path / "y"):
        (tmp_path / "y").write_bytes(b"theirs")
    with pytest.raises(NotFound, match="no folder"):
        appearing(tmp_path / "none" / "x").__enter__()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "y"]
    assert (tmp_path / "y").read_bytes() == b"theirs"
