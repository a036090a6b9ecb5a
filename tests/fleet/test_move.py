"""`move` on the fake host: the same machine in another state folder, with all that it needs there."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from skinnybox import run
from skinnybox.errors import Conflict
from skinnybox.fleet import moving_folder
from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.service import Fleet
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.model import DiskKind, Forward, Instance
from skinnybox.model.datadisk import data_disk
from skinnybox.overlays import inspect
from skinnybox.sizes import MIB
from tests.fleet import rebasing
from tests.fleet.conftest import SPARSE, open_fake, said
from tests.fleet.rebasing import has
from tests.fleet.test_disks import image
from tests.fleet.test_lease import dies_in
from tests.fleet.test_rebase import put, two_masters
from tests.samples import seal
from tests.unit.archived import index_of

__all__ = ["two_masters"]
fleet = rebasing.fleet_of_two
Said = pytest.CaptureFixture[str]
FULL = pytest.mark.full


@pytest.fixture
def web(fleet: Fleet, state: Path) -> Instance:
    wanted = replace(
        SPARSE, data=data_disk(48 * MIB), forwards=(Forward(port=18080, to=80),), labels=(("tier", "front"),)
    )
    [instance] = fleet.create(["web"], "web:1", wanted)
    put(image(state, instance), "srv/site", "mine")
    return instance


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere"


@pytest.fixture
def there(to: Path) -> Iterator[Fleet]:
    with open_fake(to) as opened:
        yield opened


def own_key(to: Path) -> Path:
    """Where that is; not the one that all tests share."""
    (to / "ssh").mkdir(parents=True)
    to.chmod(0o700)
    return to / "ssh" / "id_ed25519"


def disks(state: Path, instance: Instance) -> dict[DiskKind, Path]:
    overlay = image(state, instance)
    return {DiskKind.OVERLAY: overlay, DiskKind.DATA: overlay.with_name("data.img")}


def moved(capsys: Said, to: Path, *more: str) -> None:
    ended = said(capsys, "move", "web", "--to", str(to), *more)
    assert (ended.code, ended.out) == (0, f"web: moved to {to}\n"), ended


def left(state: Path) -> list[str]:
    found = [*(state / "instances").iterdir()] if (state / "instances").exists() else []
    return [each.name for each in (*found, *state.glob(".copy-*"), *state.glob("masters/.sealing-*"))]


def watched_steps(patch: pytest.MonkeyPatch, module: ModuleType) -> list[str]:
    """What `module` runs, and when the machine goes here."""
    steps, really, delete = list[str](), run.run, FakeHost.delete

    def ran(words: run.Argv, *more: Any, **named: Any) -> Any:
        steps.append(" ".join(map(str, words)))
        return really(words, *more, **named)

    def deleted(host: FakeHost, instance: Instance, *more: Any) -> None:
        steps.append("gone here")
        delete(host, instance, *more)

    patch.setattr(module, "run", SimpleNamespace(run=ran))
    patch.setattr(FakeHost, "delete", deleted)
    return steps


def test_it_is_the_same_there_and_gone_here(
    fleet: Fleet, state: Path, web: Instance, there: Fleet, to: Path, capsys: Said,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Also its master, and the key by which its fleet gets in; and on the disk there before it goes here."""
    steps = watched_steps(monkeypatch, moving_folder)
    run.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "skinnybox", "-f", own_key(to)])
    fleet._catalog.pin_host_keys(web.uuid, ("ssh-ed25519 AAAA",))
    before = index_of(disks(state, web))
    moved(capsys, to)
    assert fleet.names() == [] and left(state) == [] and steps == [f"sync -f {to}", "gone here"]
    machine = there.machine("web")
    after = machine.instance
    assert after.seed.authorized_keys == (there._context.public_key,) != web.seed.authorized_keys
    assert replace(after, seed=web.seed) == web
    assert after.seed.generation == web.seed.generation + 1 == inspect.read_generation(image(to, after))
    assert index_of(disks(to, after)) == before and has(to, after, "srv/site") == "mine"
    assert machine.host_keys == ("ssh-ed25519 AAAA",)
    assert there.masters.verify("web:1") == fleet.masters.find("web:1")
    assert [master.reference for master in there.masters.all()] == ["web:1"] and left(to) == [str(web.uuid)]
    there.start(["web"])
    assert said(capsys, "repair", "-y").out == "nothing to put right\n"


def test_another_folder_than_one_that_is_meant(
    fleet: Fleet, state: Path, web: Instance, capsys: Said
) -> None:
    """The same one, or a pool: without a folder for it, or of which nobody says which it is."""
    (pool := state.with_name("pool")).mkdir(mode=0o700)
    (pool / "host").write_text("xapi\n")
    for word, why in (
        (str(state), "already"),
        ("xapi://root@b", "--to-host"),
        ("ssh://-b/x", "ssh://[USER@]"),
        (str(pool), "--to-host"),
    ):
        ended = said(capsys, "move", "web", "--to", word)
        assert ended.code == 2 and why in ended.err, ended
    assert fleet.names() == ["web"] and not Path("xapi:").exists()


def test_what_is_refused_leaves_it_as_it_was(fleet: Fleet, web: Instance, to: Path, capsys: Said) -> None:
    fleet.set(["web"], {"protected": True})
    refused(fleet, capsys, to, 5, "is protected")
    fleet.set(["web"], {"protected": False})
    fleet.start(["web"])
    refused(fleet, capsys, to, 5, "needs it stopped")
    fleet.kill(["web"])
    fleet.overlays.snapshot(["web"], "mine")
    refused(fleet, capsys, to, 5, "mine", "--without-snapshots")
    assert not to.exists()


@FULL
def test_snapshots_are_given_up_where_that_is_said(
    fleet: Fleet, state: Path, web: Instance, there: Fleet, to: Path, capsys: Said
) -> None:
    fleet.overlays.snapshot(["web"], "mine")
    moved(capsys, to, "--without-snapshots")
    assert fleet.names() == [] and left(state) == [] and there.names() == ["web"]


def refused(fleet: Fleet, capsys: Said, to: Path, code: int, *why: str) -> None:
    before = fleet.machine("web").instance
    ended = said(capsys, "move", "web", "--to", str(to))
    assert ended.code == code and all(each in ended.err for each in why), ended
    assert replace(fleet.machine("web").instance, moving=None) == replace(before, moving=None)


def test_a_master_of_that_name_is_another_there(
    fleet: Fleet, web: Instance, there: Fleet, to: Path, capsys: Said
) -> None:
    seal(to, to.parent, "web", "1", unrelated=True)
    refused(fleet, capsys, to, 4, str(to), "is another master", "remove that one there")
    assert there.names() == [] == left(to)


@FULL
def test_who_knows_that_it_is_not_there_has_it_stay(
    fleet: Fleet, state: Path, web: Instance, there: Fleet, to: Path, capsys: Said
) -> None:
    dies(state, to, f"{HOST}.create_overlay")
    assert fleet.machine("web").instance == replace(web, moving=str(to))
    assert "half moved" in said(capsys, "list").out and "--stay" in said(capsys, "repair", "-y").out
    (copied,) = fleet.deltas.copy("web", ["other"])
    assert copied.moving is None
    for _ in range(2):
        assert said(capsys, "move", "web", "--stay").out == "web: stays\n"
        assert fleet.machine("web").instance == web
    fleet.start(["web"])
    assert said(capsys, "move", "web", "--stay", "--to", str(to)).code == 2
    assert said(capsys, "move", "web").code == 2


@FULL
def test_a_machine_of_that_name_is_there(
    fleet: Fleet, state: Path, web: Instance, there: Fleet, to: Path, capsys: Said
) -> None:
    """Its master is brought for a second one all the same, and is of use."""
    moved(capsys, to)
    [other] = fleet.create(["web"], "web:1", SPARSE)
    refused(fleet, capsys, to, 4, f"{to}: there is a machine web already", "choose another name")
    assert left(to) == [str(web.uuid)] and left(state) == [str(other.uuid)]


FLEET, HOST = "skinnybox.fleet", "skinnybox.hosts.fake.host.FakeHost"
CATALOG, BRINGING = f"{FLEET}.catalog.catalog.Catalog", "skinnybox.masters.bringing"
BEFORE = [
    f"{BRINGING}.seal.finish", f"{FLEET}.moving_folder.exported.export",
    f"{CATALOG}.claim", f"{HOST}.create_overlay", f"{HOST}.define", f"{CATALOG}.confirm",
]  # fmt: skip
BETWEEN = [f"{CATALOG}.pin_host_keys", f"{CATALOG}.turn", f"{HOST}.delete", f"{CATALOG}.forget"]
CORE = {f"{CATALOG}.turn"}
PLACES = [pytest.param(each, marks=[] if each in CORE else FULL) for each in (*BEFORE, *BETWEEN)]


@pytest.mark.usefixtures("nothing_is_young")
@pytest.mark.parametrize("place", PLACES)
def test_killed_at_any_step_the_same_command_goes_on(
    fleet: Fleet, state: Path, web: Instance, there: Fleet, to: Path, capsys: Said, place: str
) -> None:
    """Before it is whole there it is only here; after that in both, and the same; in the end only there."""
    fleet._catalog.pin_host_keys(web.uuid, ("ssh-ed25519 AAAA",))
    before = index_of(disks(state, web))
    dies(state, to, place)
    if place in BEFORE:
        assert fleet.names() == ["web"] and index_of(disks(state, web)) == before
        assert [row.phase for row in there._catalog.rows()] in ([], ["creating"])
    else:
        assert there.names() == ["web"] and index_of(disks(to, web)) == before
    refuse_to_start(fleet, capsys, to, marked=place != BEFORE[0])
    moved(capsys, to)
    assert fleet.names() == [] and left(state) == []
    machine = there.machine("web")
    assert index_of(disks(to, machine.instance)) == before and machine.host_keys
    assert said(capsys, "--state", str(to), "repair", "-y").code == 0  # an archive of one that was killed
    assert left(to) == [str(web.uuid)] and there.masters.verify("web:1")


def refuse_to_start(fleet: Fleet, capsys: Said, to: Path | str, *, marked: bool) -> None:
    """From before it is made there: it may be there, whatever comes of that."""
    machine = fleet.machine("web")
    assert machine.instance.moving == (str(to) if marked else None)
    if not marked:
        return
    ended = said(capsys, "move", "web", "--to", f"{to}-2")
    assert ended.code == 5 and f"it is not moved to {to}-2" in ended.err, ended
    ended = said(capsys, "start", "web")
    if machine.phase is Phase.DELETING:  # it is known to be there, and is gone on with
        assert ended.code == 4 and "is deleting" in ended.err, ended
    else:
        assert ended.code == 5 and f"was being moved to {to}" in ended.err and "--stay" in ended.err, ended
        assert machine.told == "stopped, half moved"


def dies(state: Path, to: Path, place: str) -> None:
    move = "__import__('skinnybox.fleet.moving', fromlist=['moving']).Move()"
    there = f"Path({str(to)!r})"
    dies_in(state, place, f"fleet.deltas.move(['web'], open_fake({there}).deltas, {move})")


@FULL
def test_what_was_changed_there_since_is_not_thrown_away_here(
    fleet: Fleet, state: Path, web: Instance, there: Fleet, to: Path, capsys: Said
) -> None:
    dies(state, to, f"{CATALOG}.turn")
    put(image(to, web), "srv/more", "theirs")
    refused(fleet, capsys, to, 4, "is not what it is here", "delete the other")
    there.start(["web"])
    refused(fleet, capsys, to, 4, "is not what it is here")
    assert has(to, web, "srv/more") == "theirs"


@FULL
def test_who_reads_it_just_then_keeps_it_here_until_the_next_time(
    fleet: Fleet, state: Path, web: Instance, there: Fleet, to: Path, capsys: Said,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Nothing deletes it later by itself; it is told that it is in both."""
    with monkeypatch.context() as patch:
        patch.setattr(FakeHost, "delete", in_use)
        refused(
            fleet, capsys, to, 4, f"is in {to}, and still here", "somebody reads it", "does not start here"
        )
    assert there.names() == ["web"] and fleet.finish_unfinished() == [] and fleet.names() == ["web"]
    moved(capsys, to)
    assert fleet.names() == [] and left(state) == [] and there.names() == ["web"]


def in_use(*_: object) -> None:
    raise Conflict("somebody reads it")


@FULL
def test_a_snapshot_that_is_taken_meanwhile_is_not_lost(
    fleet: Fleet, web: Instance, to: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring = moving_folder.bring

    def brought(*words: Any) -> None:
        bring(*words)
        assert all(outcome.ok for outcome in fleet.overlays.snapshot(["web"], "quick"))

    monkeypatch.setattr(moving_folder, "bring", brought)
    refused(fleet, capsys, to, 5, "quick", "--without-snapshots")
    assert left(to) == []


@FULL
def test_a_master_that_is_damaged_is_not_brought(
    fleet: Fleet, web: Instance, there: Fleet, to: Path, capsys: Said
) -> None:
    master = fleet.masters.find("web:1")
    image_file = fleet.masters.folder(master) / master.images[0].file
    image_file.chmod(0o600)
    data = bytearray(image_file.read_bytes())
    data[5000] ^= 1
    image_file.write_bytes(data)
    refused(fleet, capsys, to, 1, "is not what was sealed", "skinnybox master verify web:1")
    assert there.names() == [] == there.masters.all() and left(to) == []
