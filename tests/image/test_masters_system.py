"""What is derived of a master: written when it is sealed, the same when it is read from its image.

Requirements: mkfs.erofs.
"""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from skinnybox.errors import Corrupt, NotFound
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.settings import Settings
from skinnybox.layout import SYSTEM
from skinnybox.masters import catalogue
from skinnybox.masters.leftovers import leftovers
from skinnybox.masters.system import kept
from skinnybox.model import Master
from skinnybox.operation import Operation
from tests.samples import seal

pytestmark = pytest.mark.image
STANZA = "Package: {0}\nStatus: install ok installed\nArchitecture: all\nVersion: {1}\n\n"


def _write_packages(tree: Path, count: int, version: str = "1") -> None:
    """With a database that takes several blocks, packed and not."""
    info = tree / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    named = [f"package-{number}" for number in range(count)]
    (tree / "var/lib/dpkg/status").write_text("".join(STANZA.format(name, version) for name in named))
    for name in named:
        paths = [f"/usr/share/{name}/file-{number}" for number in range(random.Random(name).randrange(200))]
        (info / f"{name}.list").write_text("".join(f"{path}\n" for path in paths))
    (tree / "etc").mkdir(exist_ok=True)
    (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture(params=["packed for an old kernel", "packed for a new one", "mapped", "ext4"])
def master(request: pytest.FixtureRequest, state: Path, tmp_path: Path) -> Master:
    """In each way in which images are made: what cannot be read of one of them could not be made anew."""
    _write_packages(tmp_path / "tree-web-1", 120)
    linux = {"packed for an old kernel": "5.10", "ext4": "4.15"}.get(request.param, "6.1")
    return seal(state, tmp_path, "web", "1", dax=request.param == "mapped", linux=linux)


@pytest.fixture
def file(state: Path, master: Master) -> Path:
    return catalogue.folder(state / "masters", master) / SYSTEM


def _hidden(store: Path) -> list[str]:
    return [item.name for item in store.iterdir() if item.name.startswith((".s", ".w"))]


def test_one_that_lacks_it_has_the_very_same_made_and_kept(state: Path, master: Master, file: Path) -> None:
    sealed, (system, files) = file.read_bytes(), kept.with_files(state / "masters", master)
    assert system.packages is not None and len(system.packages) == 120 and len(files) > 100
    assert system.accounts.uids() == {"root": 0} and not system.trouble
    file.unlink()
    assert kept.with_files(state / "masters", master) == (system, files)
    assert file.read_bytes() == sealed and file.stat().st_mode & 0o777 == 0o400
    assert not _hidden(state / "masters")
    before = file.stat().st_ino
    assert kept.system_of(state / "masters", master) == system and file.stat().st_ino == before


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "garbage", "folder"])
def test_a_damaged_one_is_made_anew(state: Path, master: Master, file: Path, damage: str) -> None:
    sealed = file.read_bytes()
    system = kept.system_of(state / "masters", master)
    file.unlink()
    match damage:
        case "flipped":
            file.write_bytes(sealed[:500] + bytes([sealed[500] ^ 8]) + sealed[501:])
        case "cut":
            file.write_bytes(sealed[: len(sealed) // 2])
        case "empty":
            file.touch()
        case "garbage":
            file.write_bytes(b"\x1f\x8b" + os.urandom(1000))
        case _:
            file.mkdir()
    assert kept.system_of(state / "masters", master) == system
    if damage != "folder":
        assert file.read_bytes() == sealed


def test_verify_finds_one_that_says_something_else(
    state: Path, master: Master, tmp_path: Path, file: Path
) -> None:
    """Whole, and of another tree: only the image tells."""
    _write_packages(tmp_path / "tree-web-2", 3)
    other = seal(state, tmp_path, "web", "2")
    sealed, wrong = file.read_bytes(), catalogue.folder(state / "masters", other) / SYSTEM
    file.unlink()
    file.hardlink_to(wrong)
    told: list[str] = []
    with open_fleet(Settings(state=state, host="fake")) as fleet:
        fleet.masters.verify("web:1", Operation(log=told.append))
        assert file.read_bytes() == sealed and len(told) == 1
        file.unlink()
        fleet.masters.verify("web:1", Operation(log=told.append))
        assert not file.exists() and len(told) == 1


def test_repair_calls_it_no_stranger(state: Path, master: Master, file: Path) -> None:
    assert not list(leftovers(state / "masters"))
    file.unlink()
    assert not list(leftovers(state / "masters"))


def test_who_may_not_write_reads_it_for_himself(
    state: Path, master: Master, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = kept.system_of(state / "masters", master)
    file.unlink()

    def refused(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(kept, "workspace", refused)
    assert kept.system_of(state / "masters", master) == system and not file.exists()


def test_an_image_that_is_damaged_or_gone_is_told(state: Path, master: Master, file: Path) -> None:
    file.unlink()
    image = file.parent / master.images[0].file
    image.chmod(0o600)
    data = image.read_bytes()
    image.write_bytes(data[:1024] + b"\xff" * 64 + data[1088:])
    with pytest.raises(Corrupt):
        kept.system_of(state / "masters", master)
    image.unlink()
    with pytest.raises(NotFound):
        kept.system_of(state / "masters", master)
    assert not file.exists()


def test_killed_at_any_instant_it_is_there_whole_or_not_at_all(
    state: Path, master: Master, file: Path
) -> None:
    store = state / "masters"
    sealed = file.read_bytes()
    fork, seen = multiprocessing.get_context("fork"), set()
    for number in range(8):
        file.unlink(missing_ok=True)
        child = fork.Process(target=kept.system_of, args=(store, master))
        child.start()
        time.sleep(0.05 * number)
        if child.pid and child.is_alive():
            os.kill(child.pid, signal.SIGKILL)
        child.join()
        seen.add(file.exists())
        assert not file.exists() or file.read_bytes() == sealed
        assert {item.name for item in file.parent.iterdir()} - {SYSTEM} == {
            "kernel", "initrd", "manifest.json", "index.jsonl.gz", *(image.file for image in master.images),
        }  # fmt: skip
    assert False in seen
    file.unlink(missing_ok=True)  # who finds it there makes no folder, and sweeps none
    kept.system_of(store, master)
    assert file.read_bytes() == sealed and not _hidden(store)


def test_several_at_once_make_it_once_or_twice_but_whole(state: Path, master: Master, file: Path) -> None:
    sealed = file.read_bytes()
    file.unlink()
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=kept.system_of, args=(state / "masters", master)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 4
    assert file.read_bytes() == sealed and not _hidden(state / "masters")
