"""`create --from` on the fake host: what was exported and deleted is there again."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import run, wire
from skinnybox.errors import Cancelled
from skinnybox.fleet.restoring import Restore
from skinnybox.fleet.service import Fleet
from skinnybox.model import DiskKind, Forward, Instance
from skinnybox.model.datadisk import data_disk
from skinnybox.operation import Operation, Step
from skinnybox.overlays import inspect
from skinnybox.sizes import MIB
from tests.fleet import rebasing
from tests.fleet.conftest import SPARSE, said
from tests.fleet.rebasing import has
from tests.fleet.test_disks import image
from tests.fleet.test_duplicate import put_beside
from tests.fleet.test_lease import dies_in
from tests.fleet.test_rebase import put, two_masters
from tests.unit.archived import index_of

__all__ = ["two_masters"]
fleet = rebasing.fleet_of_two
Said = pytest.CaptureFixture[str]
KEY = "etc/ssh/ssh_host_ed25519_key"
OTHERS = ("nowhere", "folder", "text", "empty", "cut")


@pytest.fixture
def web(fleet: Fleet, state: Path) -> Instance:
    forwards = (Forward(port=18080, to=80),)
    wanted = replace(SPARSE, data=data_disk(48 * MIB), forwards=forwards, labels=(("tier", "front"),))
    [instance] = fleet.create(["web"], "web:1", wanted)
    put(image(state, instance), "srv/site", "mine")
    for path in (KEY, f"{KEY}.pub"):
        put_beside(image(state, instance), path)
    run.run(["debugfs", "-w", "-R", "mkdir folders/kept", disks(state, instance)[DiskKind.DATA]])
    return instance


def disks(state: Path, instance: Instance) -> dict[DiskKind, Path]:
    overlay = image(state, instance)
    return {DiskKind.OVERLAY: overlay, DiskKind.DATA: overlay.with_name("data.img")}


def exported(capsys: Said, file: Path, *more: str) -> Path:
    ended = said(capsys, "export", "web", str(file), *more)
    assert ended.code == 0, ended
    return file


def deleted(fleet: Fleet, state: Path, *names: str) -> None:
    assert all(outcome.ok for outcome in fleet.delete(names))
    assert fleet.names() == [] and nothing_left(state)


def nothing_left(state: Path) -> bool:
    folder = state / "instances"
    return not (folder.exists() and list(folder.iterdir())) and not list(state.glob(".copy-*"))


def test_export_delete_restore_is_the_same_machine(
    fleet: Fleet, state: Path, web: Instance, capsys: Said, tmp_path: Path
) -> None:
    before = index_of(disks(state, web))
    file = exported(capsys, tmp_path / "a.tar.zst", "--data")
    deleted(fleet, state, "web")
    ended = said(capsys, "create", "web", "--from", str(file))
    assert (ended.code, ended.out) == (0, "web: restored\n"), ended
    after = fleet.machine("web").instance
    assert after == web
    assert index_of(disks(state, after)) == before
    for kind, disk in disks(state, after).items():
        assert inspect.read_base(disk).get("instance") == str(web.uuid), kind
        assert inspect.is_clean(disk)
    assert inspect.read_generation(image(state, after)) == web.seed.generation
    identity = wire.decode(inspect.read_identity(image(state, after), web.uuid), "identity")
    assert [line.payload for line in identity.all("ssh-host-key")] == [b"secret"] * 2
    fleet.start(["web"])


@pytest.mark.full
def test_increments_restore_what_there_was_at_the_last(
    fleet: Fleet, state: Path, web: Instance, capsys: Said, tmp_path: Path
) -> None:
    overlay = image(state, web)
    first = exported(capsys, tmp_path / "1.zst")
    put(overlay, "srv/more", "more")
    run.run(["debugfs", "-w", "-R", "rm upper/srv/site", overlay])
    second = exported(capsys, tmp_path / "2.zst", "--since", str(first))
    put(overlay, "srv/last", "last")
    third = exported(capsys, tmp_path / "3.zst", "--since", str(second))
    before = index_of({DiskKind.OVERLAY: overlay})
    deleted(fleet, state, "web")
    chain = [word for file in (first, second, third) for word in ("--from", str(file))]
    ended = said(capsys, "create", "web", *chain)
    assert ended.code == 0 and "its data disk is empty" in ended.err, ended
    assert index_of({DiskKind.OVERLAY: image(state, web)}) == before
    assert (has(state, web, "srv/site"), has(state, web, "srv/more")) == (None, "more")


@pytest.mark.full
@pytest.mark.parametrize(
    ("order", "why"),
    [((2,), "only what was changed"), ((1, 3), "not made since"), ((1, 3, 2), "not made since")],
)
def test_chains_with_a_gap_are_refused(
    fleet: Fleet, state: Path, web: Instance, capsys: Said, tmp_path: Path, order: tuple[int, ...], why: str
) -> None:
    last: list[str] = []
    for number in (1, 2, 3):
        put(image(state, web), f"srv/{number}", "x")
        last = ["--since", last[-1]] if last else []
        last.append(str(exported(capsys, tmp_path / f"{number}.zst", *last)))
    deleted(fleet, state, "web")
    ended = said(
        capsys, "create", "web", *(word for n in order for word in ("--from", str(tmp_path / f"{n}.zst")))
    )
    assert ended.code == 2 and why in ended.err, ended
    assert fleet.names() == [] and nothing_left(state)


def test_while_it_is_here_only_another_can_be_made(
    fleet: Fleet, state: Path, web: Instance, capsys: Said, tmp_path: Path
) -> None:
    file = exported(capsys, tmp_path / "a.zst")
    for name, hint in (("web", "choose another name"), ("new", "--new-identity")):
        ended = said(capsys, "create", name, "--from", str(file))
        assert ended.code == 4 and hint in ended.err, ended
    ended = said(capsys, "create", "new", "--from", str(file), "--new-identity")
    assert ended.code == 0, ended
    new = fleet.machine("new").instance
    assert new.uuid != web.uuid and new.seed.machine_id != web.seed.machine_id and new.mac != web.mac
    assert (new.seed.hostname, new.forwards, new.labels) == ("new", (), web.labels)
    assert (has(state, new, "srv/site"), has(state, new, KEY)) == ("mine", None)
    assert inspect.read_base(image(state, new)).get("instance") == str(new.uuid)
    assert inspect.read_identity(image(state, new), new.uuid) == b""
    assert not list(state.glob(".copy-*"))
    fleet.start(["new"])


def test_called_otherwise_it_is_the_same_one(
    fleet: Fleet, state: Path, web: Instance, capsys: Said, tmp_path: Path
) -> None:
    """Ports that another has by now are others."""
    file = exported(capsys, tmp_path / "a.zst")
    deleted(fleet, state, "web")
    others = replace(SPARSE, forwards=(Forward(port=18080, to=80),))
    [other] = fleet.create(["other"], "web:1", others)
    assert other.ssh_port == web.ssh_port
    words = ("--overlay", "96M", "--memory", "300M", "--cpus", "2")
    ended = said(capsys, "create", "www", "--from", str(file), *words)
    assert ended.code == 0 and "port 18080 of this host is taken" in ended.err, ended
    www = fleet.machine("www").instance
    assert (www.uuid, www.seed.machine_id, www.seed.hostname) == (web.uuid, web.seed.machine_id, "www")
    assert www.seed.generation == web.seed.generation + 1
    assert inspect.read_generation(image(state, www)) == www.seed.generation
    assert www.ssh_port != other.ssh_port and www.forwards[0].port == 18081 and www.forwards[0].to == 80
    assert (www.memory, www.cpus) == (300 * MIB, 2)
    assert www.overlay.size == image(state, www).stat().st_size == 96 * MIB
    assert has(state, www, KEY) == "secret"


@pytest.mark.full
def test_another_master_of_its_name_is_no_ground(
    fleet: Fleet, state: Path, web: Instance, capsys: Said, tmp_path: Path
) -> None:
    file = exported(capsys, tmp_path / "a.zst")
    deleted(fleet, state, "web")
    fleet.masters.remove("web:1")
    ended = said(capsys, "create", "web", "--from", str(file))
    assert ended.code == 3 and web.stack.master in ended.err and "rebase" in ended.err, ended
    assert fleet.names() == [] and nothing_left(state)


@pytest.mark.full
def test_what_does_not_go_into_a_smaller_overlay_leaves_nothing(
    fleet: Fleet, state: Path, web: Instance, capsys: Said, tmp_path: Path
) -> None:
    big = tmp_path / "big"
    big.write_bytes(os.urandom(40 * MIB))
    run.run(["debugfs", "-w", "-R", f"write {big} upper/big", image(state, web)])
    file = exported(capsys, tmp_path / "a.zst")
    deleted(fleet, state, "web")
    ended = said(capsys, "create", "web", "--from", str(file), "--overlay", "32M")
    assert ended.code == 7 and "--overlay" in ended.err, ended
    assert fleet.names() == [] and nothing_left(state)


@pytest.mark.parametrize(
    "words",
    [
        ("-m", "web:1"),
        ("--sparse",),
        ("--label", "a=b"),
        ("--dry-run",),
        ("--skip-existing",),
        ("b",),
    ],
)
def test_what_the_archive_says_nobody_else_says(fleet: Fleet, capsys: Said, words: tuple[str, ...]) -> None:
    ended = said(capsys, "create", "a", "--from", "nowhere", *words)
    assert ended.code == 2, ended
    assert said(capsys, "create", "a", "-m", "web:1", "--new-identity").code == 2
    assert fleet.names() == []


@pytest.mark.full
def test_from_standard_input(
    fleet: Fleet, state: Path, web: Instance, tmp_path: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = exported(capsys, tmp_path / "a.zst")
    deleted(fleet, state, "web")
    with file.open("rb") as opened, monkeypatch.context() as patch:
        patch.setattr("skinnybox.cli.restore._INPUT", opened.fileno())
        patch.setattr(sys, "stdin", opened)
        ended = said(capsys, "create", "web", "--from", "-")
    assert ended.code == 0, ended
    assert has(state, web, "srv/site") == "mine" and not list(state.glob(".copy-*"))
    assert said(capsys, "create", "b", "--from", "-", "--from", "x").code == 2


@pytest.mark.parametrize("name", ["bit", *(pytest.param(name, marks=pytest.mark.full) for name in OTHERS)])
def test_what_is_no_archive(
    fleet: Fleet, state: Path, web: Instance, capsys: Said, tmp_path: Path, name: str
) -> None:
    whole = exported(capsys, tmp_path / "whole").read_bytes()
    deleted(fleet, state, "web")
    (tmp_path / "folder").mkdir()
    bad = {
        "text": b"text",
        "empty": b"",
        "cut": whole[:-20],
        "bit": whole[:200] + bytes([whole[200] ^ 1]) + whole[201:],
    }
    for each, content in bad.items():
        (tmp_path / each).write_bytes(content)
    ended = said(capsys, "create", "web", "--from", str(tmp_path / name))
    assert ended.code in (1, 2, 3) and "Traceback" not in ended.err, ended
    assert fleet.names() == [] and nothing_left(state)


FULL = pytest.mark.full
HOST, CATALOG = "skinnybox.hosts.fake.host.FakeHost", "skinnybox.fleet.catalog.catalog.Catalog"
EDIT = "skinnybox.delta.archive.restored.edit"
STEPS = [
    pytest.param(f"{CATALOG}.claim", marks=FULL), pytest.param(f"{HOST}.create_overlay", marks=FULL),
    f"{EDIT}.edited", pytest.param(f"{EDIT}.settled", marks=FULL), pytest.param(f"{HOST}.define", marks=FULL),
    pytest.param(f"{CATALOG}.confirm", marks=FULL),
]  # fmt: skip


@pytest.mark.parametrize("place", STEPS)
@pytest.mark.parametrize("more", ["", pytest.param(", new_identity=True", marks=FULL)])
def test_killed_at_any_step_nothing_half_remains(
    fleet: Fleet, state: Path, web: Instance, capsys: Said, tmp_path: Path, place: str, more: str
) -> None:
    file = exported(capsys, tmp_path / "a.zst", "--data")
    deleted(fleet, state, "web")
    module = "__import__('skinnybox.fleet.restoring', fromlist=['restoring'])"
    deed = f"fleet.deltas.restore('web', {module}.Restore(sources=(Path({str(file)!r}),){more}))"
    dies_in(state, place, deed)
    ended = said(capsys, "repair", "-y")
    assert ended.code == 0 and fleet.names() == [] and not list((state / "instances").iterdir()), ended
    assert said(capsys, "create", "web", "--from", str(file)).code == 0
    assert has(state, fleet.machine("web").instance, "srv/site") == "mine"


@pytest.mark.full
@pytest.mark.parametrize("detail", ["writing", "comparing"])
def test_who_is_interrupted_leaves_nothing(
    fleet: Fleet, state: Path, web: Instance, capsys: Said, tmp_path: Path, detail: str
) -> None:
    file = exported(capsys, tmp_path / "a.zst")
    deleted(fleet, state, "web")

    def told(step: Step) -> None:
        if step.detail == detail:
            operation.cancel()

    operation = Operation(told)
    with pytest.raises(Cancelled):
        fleet.deltas.restore("web", Restore(sources=(file,)), operation)
    assert fleet.names() == [] and nothing_left(state)
