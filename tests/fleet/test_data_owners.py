"""Files on a data disk lie by the numbers of a system: what takes both disks as they are takes a pair that
agrees, and what makes them anew says by which."""

from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta.content import disks
from skinnybox.delta.data_owners import unsettled
from skinnybox.errors import Blocked
from skinnybox.fleet.flatten import FlatDisk
from skinnybox.fleet.service import Fleet
from skinnybox.model import Instance
from skinnybox.model.datadisk import data_disk
from skinnybox.sizes import MIB
from tests.fleet import rebasing
from tests.fleet.conftest import SPARSE, said
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import two_masters

__all__ = ["two_masters"]
fleet = rebasing.fleet_of_two
Said = pytest.CaptureFixture[str]
OF_SYSTEM, OF_DISK = "upper/var/lib/skinnybox/owners", "skinnybox/owners"


@pytest.fixture
def web(fleet: Fleet) -> Instance:
    [instance] = fleet.create(["web"], "web:1", replace(SPARSE, data=data_disk(48 * MIB)))
    return instance


def data_of(state: Path, instance: Instance) -> Path:
    return image(state, instance).with_name("data.img")


def moved(instance: Instance) -> str:
    """As a rebase onto the images that it has leaves it."""
    onto = ",".join(instance.stack.images)
    return f"skinnybox-owners 1\nmove f00d\nfrom sha256:0\nonto {onto}\nuser 101 102\nuser 102 101\nend\n"


def put(disk: Path, place: str, text: str) -> None:
    written = disk.with_name("written")
    written.write_text(text)
    folders = [place[:at] for at, letter in enumerate(place) if letter == "/"]
    for folder in folders:
        run.run(["debugfs", "-w", "-R", f"mkdir {folder}", disk])
    run.run(["debugfs", "-w", "-R", f"write {written} {place}", disk])
    written.unlink()


def mounted(disk: Path) -> None:
    """As by a start that filled its folders."""
    run.run(["debugfs", "-w", "-R", "mkdir folders/srv", disk])
    run.run(["debugfs", "-w", "-R", "ssv mnt_count 1", disk])


def read(disk: Path) -> str | None:
    [found] = disks(disk, [OF_DISK.encode()], 4096)
    return None if found is None else found.data.decode()


def test_a_restored_data_disk_says_by_which_numbers_its_files_lie(
    fleet: Fleet, state: Path, web: Instance, capsys: Said, tmp_path: Path
) -> None:
    """Without a word its machine's first start did the move once more: files of other accounts."""
    put(image(state, web), OF_SYSTEM, moved(web))
    put(data_of(state, web), OF_DISK, moved(web))
    mounted(data_of(state, web))
    file = str(tmp_path / "a.zst")
    assert said(capsys, "export", "web", file, "--data").code == 0
    assert all(outcome.ok for outcome in fleet.delete(["web"]))
    assert said(capsys, "create", "web", "--from", file).code == 0
    assert read(data_of(state, fleet.machine("web").instance)) == moved(web)
    assert said(capsys, "create", "other", "--from", file, "--new-identity").code == 0
    other = fleet.machine("other").instance
    mounted(data_of(state, other))
    assert not unsettled(image(state, other), data_of(state, other), other.stack.images)


@pytest.mark.full
def test_one_of_which_no_number_ever_moved_says_nothing(
    fleet: Fleet, state: Path, web: Instance, capsys: Said, tmp_path: Path
) -> None:
    mounted(data_of(state, web))
    file = str(tmp_path / "a.zst")
    assert said(capsys, "export", "web", file, "--data").code == 0
    assert all(outcome.ok for outcome in fleet.delete(["web"]))
    assert said(capsys, "create", "web", "--from", file).code == 0
    assert read(data_of(state, fleet.machine("web").instance)) is None


@pytest.mark.parametrize(
    "which",
    [
        "rolled back",
        pytest.param("not started since its rebase", marks=pytest.mark.full),
        pytest.param("cut short", marks=pytest.mark.full),
    ],
)
def test_what_takes_both_as_they_are_is_refused_until_it_was_started(
    which: str, fleet: Fleet, state: Path, web: Instance, capsys: Said, tmp_path: Path
) -> None:
    """The disk of the first has not had the move, that of the second still has it."""
    before = replace(web, stack=replace(web.stack, images=("sha256:1",)))
    match which:
        case "not started since its rebase":
            put(image(state, web), OF_SYSTEM, moved(web))
        case "rolled back":
            put(data_of(state, web), OF_DISK, moved(before).replace("sha256:0", web.stack.images[0]))
        case _:
            put(data_of(state, web), f"{OF_DISK}.moving/home", "")
    file = tmp_path / "a.zst"
    assert said(capsys, "export", "web", str(file), "--data").code == 0  # nobody ever mounted it
    mounted(data_of(state, web))
    file.unlink()
    ended = said(capsys, "export", "web", str(file), "--data")
    assert ended.code == 5 and "data disk of web have the numbers" in ended.err, ended
    assert "skinnybox start web" in ended.err and not file.exists()
    assert said(capsys, "export", "web", str(file)).code == 0  # its system alone
    moved_there = said(capsys, "move", "web", "--to", str(tmp_path / "there"))
    assert moved_there.code == 5 and "data disk of web" in moved_there.err, moved_there
    assert fleet.names() == ["web"] and fleet.machine("web").instance == web
    with pytest.raises(Blocked, match="data disk of web"):
        fleet.overlays.flatten("web", FlatDisk(file=tmp_path / "flat"))
    assert not (tmp_path / "flat").exists()
