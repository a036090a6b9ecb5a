"""`export` on the fake host: what is in the file, against another reader of tars."""

import io
import itertools
import json
import os
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.cli.main import run_command
from skinnybox.errors import Cancelled
from skinnybox.fleet.exporting import Export
from skinnybox.fleet.service import Fleet
from skinnybox.model import Instance, ThrowAway, Thrown
from skinnybox.model.datadisk import data_disk
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.fleet import rebasing
from tests.fleet.conftest import SPARSE, said
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import put, two_masters

__all__ = ["two_masters"]
fleet = rebasing.fleet_of_two
Said = pytest.CaptureFixture[str]


@pytest.fixture
def web(fleet: Fleet, state: Path) -> Instance:
    [instance] = fleet.create(["web"], "web:1", replace(SPARSE, data=data_disk(48 * MIB)))
    put(image(state, instance), "srv/site", "mine")
    disk = image(state, instance).with_name("data.img")
    for order in ("mkdir folders/data", "mkdir folders/%new", "symlink folders/data/x y"):
        run.run(["debugfs", "-w", "-R", order, disk])
    return instance


def tar_of(archive: bytes) -> tarfile.TarFile:
    unpacked = subprocess.run(["zstd", "-dcq"], input=archive, check=True, capture_output=True).stdout
    return tarfile.open(fileobj=io.BytesIO(unpacked))


def manifest(archive: Path) -> dict[str, object]:
    with tar_of(archive.read_bytes()) as tar:
        file = tar.extractfile("skinnybox.json")
        assert file is not None
        found: dict[str, object] = json.load(file)
        return found


OURS = ["skinnybox.index", "skinnybox.end"]
OVERLAY = ["skinnybox.json", "overlay", "overlay/srv", "overlay/srv/site"]
DATA = ["data", "data/data", "data/data/x"]


@pytest.mark.parametrize("running", [False, True])
def test_what_a_machine_made_its_own_is_in_the_file(
    fleet: Fleet, web: Instance, capsys: Said, tmp_path: Path, running: bool
) -> None:
    if running:
        fleet.start(["web"])
    file = tmp_path / "web.tar.zst"
    ended = said(capsys, "export", "web", str(file))
    assert ended.code == 0, ended
    how = ", as after a power cut" if running else ""
    assert ended.out.startswith(f"web: exported to {file}, 1") and ended.out.endswith(f"5 members{how}\n")
    assert file.stat().st_mode & 0o777 == 0o600
    with tar_of(file.read_bytes()) as tar:
        assert tar.getnames() == [*OVERLAY, *OURS]
        site = tar.extractfile("overlay/srv/site")
        assert site is not None and site.read() == b"mine"
    told = manifest(file)
    assert (told["disks"], told["since"]) == (["overlay"], None)
    assert told["consistency"] == ("crash-consistent" if running else "stopped")
    stack = {"master": web.stack.master, "reference": "web:1", "images": list(web.stack.images)}
    assert told["stack"] == stack
    assert isinstance(told["machine"], dict) and told["machine"]["uuid"] == str(web.uuid)


def test_data_are_in_it_when_that_is_said(fleet: Fleet, web: Instance, capsys: Said, tmp_path: Path) -> None:
    file = tmp_path / "web.tar.zst"
    ended = said(capsys, "export", "web", str(file), "--data", "--format", "json")
    assert ended.code == 0, ended
    with tar_of(file.read_bytes()) as tar:
        assert tar.getnames() == [*OVERLAY, *DATA, *OURS]
    told = json.loads(ended.out)
    assert (told["name"], told["members"], told["size"]) == ("web", 8, file.stat().st_size)
    assert told["id"] == manifest(file)["id"] and told["consistent"] == "stopped"
    assert manifest(file)["disks"] == ["overlay", "data"]


def test_it_goes_to_standard_output_alone(
    fleet: Fleet, web: Instance, state: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run_command(["export", "web", "-"]) == 0
    out, err = capfdbinary.readouterr()
    with tar_of(out) as tar:
        assert tar.getnames() == [*OVERLAY, *OURS]
    assert err == b"web: exported, 5 members\n"
    assert run_command(["export", "web", "-", "--format", "json"]) == 2
    assert capfdbinary.readouterr().out == b""


def test_later_ones_have_what_has_changed_since(
    fleet: Fleet, web: Instance, state: Path, capsys: Said, tmp_path: Path
) -> None:
    files = [tmp_path / f"{number}.tar.zst" for number in range(4)]
    assert said(capsys, "export", "web", str(files[0]), "--data").code == 0
    put(image(state, web), "opt/new", "new")
    for before, after in itertools.pairwise(files[:3]):
        ended = said(capsys, "export", "web", str(after), "--data", "--since", str(before))
        assert ended.code == 0, ended
    with tar_of(files[1].read_bytes()) as tar:
        added = ["overlay", "overlay/opt", "overlay/opt/new"]
        # Of the top only what is needed to stand around it: debugfs leaves a folder's time as it was.
        assert tar.getnames() == ["skinnybox.json", *added, *OURS]
    with tar_of(files[2].read_bytes()) as tar:
        assert tar.getnames() == ["skinnybox.json", *OURS]
    since = manifest(files[2])["since"]
    assert isinstance(since, dict) and since["id"] == manifest(files[1])["id"]
    ended = said(capsys, "export", "web", str(files[3]), "--since", str(files[0]))
    assert ended.code == 5 and "--data as well" in ended.err and not files[3].exists()


def test_what_is_no_earlier_export_of_it_is_refused(
    fleet: Fleet, web: Instance, capsys: Said, tmp_path: Path
) -> None:
    fleet.create(["other"], "web:1", SPARSE)
    other, new = tmp_path / "other.tar.zst", tmp_path / "new.tar.zst"
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert said(capsys, "export", "other", str(other)).code == 0
    ended = said(capsys, "export", "web", str(new), "--since", str(other))
    assert ended.code == 5 and "of another machine than web" in ended.err
    whole = other.read_bytes()
    for damaged in (b"", b"no archive", whole[:-20], whole[: len(whole) // 2]):
        other.write_bytes(damaged)
        ended = said(capsys, "export", "web", str(new), "--since", str(other))
        assert ended.code == 1 and str(other) in ended.err, ended
    for what, code, why in (("none", 3, "no such file"), ("folder", 2, "is no file"), ("pipe", 2, "is no")):
        ended = said(capsys, "export", "web", str(new), "--since", str(tmp_path / what))
        assert ended.code == code and why in ended.err, ended
    assert not new.exists() and not list(tmp_path.glob("*.part"))


def test_what_cannot_be_exported_is_refused_and_leaves_nothing(
    fleet: Fleet, web: Instance, capsys: Said, tmp_path: Path
) -> None:
    file = tmp_path / "web.tar.zst"
    file.write_bytes(b"mine")
    assert said(capsys, "export", "web", str(file)).code == 4
    assert file.read_bytes() == b"mine"
    fleet.create(["plain"], "web:1", SPARSE)
    fleet.create(["thrown"], "web:1", replace(SPARSE, throw_away=ThrowAway(kind=Thrown.MEMORY)))
    new = tmp_path / "new"
    assert said(capsys, "export", "plain", str(new), "--data").code == 3
    assert said(capsys, "export", "thrown", str(new)).code == 6
    assert said(capsys, "export", "nobody", str(new)).code == 3
    assert not new.exists() and not list(tmp_path.glob("*.part"))


def test_what_has_the_name_is_never_to_be_removed_but_for_files(
    fleet: Fleet, web: Instance, capsys: Said, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    for file, is_files in ((tmp_path / "link", True), (tmp_path, False), (Path("/dev/null"), False)):
        ended = said(capsys, "export", "web", str(file))
        assert ended.code == 4 and f"{file} exists already" in ended.err, ended
        assert ("remove it first" in ended.err) == is_files


def test_one_that_is_cancelled_leaves_nothing(
    fleet: Fleet, web: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    operation = Operation(lambda step: operation.cancel() if step.task == "export" else None)
    file = tmp_path / "web.tar.zst"
    fleet.start(["web"])
    before = sorted(state.iterdir())
    with pytest.raises(Cancelled):
        fleet.deltas.export("web", Export(file=file), operation)
    assert not file.exists() and not list(tmp_path.glob("*.part"))
    assert sorted(state.iterdir()) == before
