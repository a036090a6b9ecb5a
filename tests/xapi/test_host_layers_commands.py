"""What else is done with machines of a pool that have layers: each command knows all of their stack."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import Blocked, Unsupported
from skinnybox.fleet.exporting import Export
from skinnybox.fleet.moving import Move
from skinnybox.fleet.rebase_look import Look
from skinnybox.fleet.rebase_rollout import Rollout
from skinnybox.fleet.rebases import Wishes
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.restoring import Restore
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.view import Condition
from skinnybox.model import Instance, Layer, Master, Network
from skinnybox.operation import UNATTENDED
from tests.emulators.xapi import EmulatedPool
from tests.fleet.fleetfile import File
from tests.fleet.test_rebase import _tree
from tests.layered import planted
from tests.samples import seal
from tests.xapi import test_host_rebase
from tests.xapi.furnished import SMALL, at_work, host_on, plain_disk
from tests.xapi.layered import LAYERED, drives, lying, sealed
from tests.xapi.test_host_rebase import calls, dies, on_pool, orphaned

pytestmark = pytest.mark.image
GUEST = at_work
ATTACHED = {
    "0": ("master", "web:1", "RO"), "1": ("overlay", "overlay", "RW"),
    "4": ("layer", "low:1", "RO"), "5": ("layer", "top:1", "RO"),
}  # fmt: skip
QUICK = Rollout(timeout=20)


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """web:1, web:2 and web:0, whose guest part would not find layers; in a state folder."""
    around = tmp_path_factory.mktemp("masters")
    for version in "12":
        _tree(around / f"tree-web-{version}", version)
        seal(around / "state", around, "web", version, unrelated=True)
    _tree(around / "tree-web-0", "2", protocol=5)
    seal(around / "state", around, "web", "0", unrelated=True)
    return around / "state"


@pytest.fixture
def state(tmp_path: Path, masters: Path) -> Path:
    run.run(["cp", "-a", masters, tmp_path / "state"])
    return tmp_path / "state"


@pytest.fixture
def fleet(pool: EmulatedPool, state: Path) -> Iterator[Fleet]:
    with Fleet(state, host_on(pool, state, make_disk=plain_disk), boots_at_once=1) as fleet:
        yield fleet


@pytest.fixture
def layers(fleet: Fleet, tmp_path: Path) -> dict[str, Layer]:
    return sealed(fleet, tmp_path, above="web:1")


@pytest.fixture
def web(fleet: Fleet, layers: dict[str, Layer], tmp_path: Path) -> Instance:
    """Off; it has run, and written /srv/site/own."""
    [made] = fleet.create(["web"], "web:1", LAYERED)
    comes_up(fleet, "web")
    content = tmp_path / "content"
    content.write_text("mine")

    def build(old: Path, new: Path) -> None:
        new.write_bytes(old.read_bytes())
        for order in ("mkdir upper/srv", "mkdir upper/srv/site", f"write {content} upper/srv/site/own"):
            run.run(["debugfs", "-w", "-R", order, new])
        for folder in ("srv", "srv/site"):
            run.run(["debugfs", "-w", "-R", f"sif upper/{folder} mode 040755", new])

    fleet._host.rebuild_overlay(made, made.overlay.size, build, UNATTENDED)
    return made


def comes_up(fleet: Fleet, name: str) -> None:
    [started] = fleet.start([name], timeout=20.0)
    assert started.error is None and fleet.machine(name).condition is Condition.READY, started.error
    report = fleet.machine(name).current_report
    assert report is not None and len(report.images) == 3
    assert fleet.kill([name])[0].ok


def own(fleet: Fleet, name: str) -> dict[str, str]:
    with fleet.overlays.changes(name) as found:
        return {change.path.decode(): change.kind.value for change in found if change.path.endswith(b"/own")}


OWN = {"srv/site/own": "added"}


@pytest.mark.full
def test_what_it_has_of_its_own_is_seen_and_given_back(
    pool: EmulatedPool, fleet: Fleet, web: Instance
) -> None:
    assert own(fleet, "web") == OWN
    assert fleet.deltas.slim(["web"])[0].error is None and own(fleet, "web") == OWN
    assert fleet.deltas.give_back(["web"], ["/srv/site/own"])[0].error is None
    assert own(fleet, "web") == {}
    assert fleet.overlays.reset(["web"])[0].error is None
    assert drives(pool, web) == ATTACHED
    comes_up(fleet, "web")


@pytest.mark.full
def test_files_of_all_of_the_stack_come_out(fleet: Fleet, web: Instance, tmp_path: Path) -> None:
    fleet.remote.fetch("web", ["/srv/site/index.html", "/opt/x", "/srv/site/own"], tmp_path)
    assert [(tmp_path / name).read_text() for name in ("index.html", "x", "own")] == ["top\n", "x\n", "mine"]


@pytest.mark.full
def test_copies_and_new_names(pool: EmulatedPool, fleet: Fleet, web: Instance) -> None:
    [copy] = fleet.deltas.copy("web", ["two"])
    assert copy.stack == web.stack and own(fleet, "two") == OWN and drives(pool, copy) == ATTACHED
    renamed = fleet.deltas.rename("two", "other")
    assert drives(pool, renamed) == ATTACHED
    comes_up(fleet, "other")


@pytest.mark.full
def test_snapshots_pin_them(
    pool: EmulatedPool, fleet: Fleet, web: Instance, layers: dict[str, Layer]
) -> None:
    assert fleet.overlays.snapshot(["web"], "then")[0].ok
    assert fleet.overlays.reset(["web"])[0].ok and own(fleet, "web") == {}
    assert fleet.overlays.restore(["web"], "then")[0].error is None and own(fleet, "web") == OWN
    assert drives(pool, web) == ATTACHED and len(lying(pool, "layer")) == 2
    with pytest.raises(Blocked, match="low:1 is a layer of web"):
        fleet.layers.remove("low")
    comes_up(fleet, "web")
    assert fleet.delete(["web"])[0].ok
    assert fleet.layers.remove("low") == layers["low"] and fleet.layers.remove("top") == layers["top"]
    assert lying(pool, "layer") == [] == lying(pool, "source", "layer")


@pytest.mark.full
def test_an_archive_is_made_again(pool: EmulatedPool, fleet: Fleet, web: Instance, tmp_path: Path) -> None:
    fleet.deltas.export("web", Export(file=tmp_path / "web"))
    assert fleet.delete(["web"])[0].ok and fleet.layers.remove("top")
    assert lying(pool, "layer", "top") == []
    fleet.layers.import_tree(tmp_path / "top-of", "top:1", above="web:1")
    assert fleet.deltas.restore("web", Restore(sources=(tmp_path / "web",))) == web
    assert drives(pool, web) == ATTACHED and own(fleet, "web") == OWN
    comes_up(fleet, "web")


@pytest.mark.full
def test_its_own_becomes_a_layer(pool: EmulatedPool, fleet: Fleet, web: Instance) -> None:
    layer = fleet.deltas.promote_layer("web", "own:1", paths=["/srv/site"])
    [made] = fleet.create(["new"], "web:1", replace(SMALL, layers=("low", "top", "own")))
    assert drives(pool, made)["6"] == ("layer", "own:1", "RO") and made.stack.layer_ids[2] == layer.id
    assert own(fleet, "new") == {}
    [disk] = lying(pool, "layer", "own:1")
    assert len(disk["VBDs"]) == 1


def test_the_layers_stay_on_another_master_and_on_the_way_back(
    pool: EmulatedPool, fleet: Fleet, web: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Look, "pass_gate", lambda *words, **more: None)  # what boots is tests/boot's
    before = {disk["uuid"] for disk in lying(pool, "layer")}
    [outcome] = fleet.rebases.run(["web"], "web:2", Wishes(), QUICK)
    assert outcome.error is None, outcome.error
    now = fleet.machine("web").instance
    assert (now.stack.reference, now.stack.images[1:]) == ("web:2", web.stack.images[1:])
    onto = {**ATTACHED, "0": ("master", "web:2", "RO")}
    assert drives(pool, now) == onto and {disk["uuid"] for disk in lying(pool, "layer")} == before
    assert own(fleet, "web") == OWN
    comes_up(fleet, "web")
    with pytest.raises(Blocked):
        fleet.layers.remove("low")
    assert fleet.rebases.rollback(["web"])[0].error is None
    assert drives(pool, web) == ATTACHED and fleet.machine("web").instance.stack == web.stack
    comes_up(fleet, "web")


def test_a_master_whose_guest_part_would_not_find_them_is_refused(
    pool: EmulatedPool, fleet: Fleet, web: Instance
) -> None:
    [planned] = fleet.rebases.plans(["web"], "web:0", Wishes())
    [tried] = fleet.rebases.run(["web"], "web:0", Wishes(), QUICK)
    for outcome in (planned, tried):
        assert isinstance(outcome.error, Unsupported) and "finds no layers" in outcome.error.message
    assert fleet.machine("web").instance == web and drives(pool, web) == ATTACHED


def test_a_fleet_file_says_them(
    pool: EmulatedPool, fleet: Fleet, layers: dict[str, Layer], tmp_path: Path
) -> None:
    file = File(fleet, tmp_path / "fleet.yaml")
    file.write(
        "version: 1\nfleet: site\ndefaults: {overlay: 32M, memory: 256M, layers: [low, top]}\n"
        "machines:\n  web: {master: web:1}\n"
    )
    assert [outcome.error for outcome in file.apply()] == [None]
    assert drives(pool, fleet.machine("web").instance) == ATTACHED and file.plan() == []


@pytest.mark.full
def test_another_layer_takes_the_place_of_one(
    pool: EmulatedPool, fleet: Fleet, web: Instance, tmp_path: Path
) -> None:
    """As a record that was taken back says: what it is to boot from counts, not what it has attached."""
    tree = planted(tmp_path / "next", {"srv/site/index.html": "next\n"})
    later = fleet.layers.import_tree(tree, "later:1", above="web:1")
    image = later.images[0]
    stack = replace(
        web.stack,
        images=(*web.stack.images[:2], image.digest), layers=("low:1", "later:1"),
        layer_ids=(web.stack.layer_ids[0], later.id),
    )  # fmt: skip
    fleet._host.define(replace(web, stack=stack))
    assert drives(pool, web) == ATTACHED, "it is not there yet"
    fleet._host.add_layers([(later, image, fleet.layers.folder(later))], UNATTENDED)
    fleet._host.define(replace(web, stack=stack))
    assert drives(pool, web) == {**ATTACHED, "5": ("layer", "later:1", "RO")}
    fleet._host.define(web)
    assert drives(pool, web) == ATTACHED


@pytest.mark.full
@pytest.mark.parametrize("to_pool", [True, False])
def test_it_moves_to_a_pool_and_off_it(
    pool: EmulatedPool, fleet: Fleet, web: Instance, tmp_path: Path, to_pool: bool
) -> None:
    with open_fleet(Settings(state=tmp_path / "here", host="fake")) as here:
        [off] = fleet.deltas.move(["web"], here.deltas, Move(changes={"network": None}))
        assert off.ok and fleet.names() == [] and own(here, "web") == OWN, off.error
        assert [layer.reference for layer in here.layers.all()] == ["low:1", "top:1"]
        if to_pool:
            for name in ("low", "top"):
                fleet.layers.remove(name)
            onto_lan = Move(changes={"network": Network.BRIDGE, "bridge": "lan"})
            [on] = here.deltas.move(["web"], fleet.deltas, onto_lan)
            assert on.ok and here.names() == [] and own(fleet, "web") == OWN, on.error
            assert drives(pool, web) == ATTACHED
            comes_up(fleet, "web")


@pytest.mark.full
def test_a_create_that_is_killed_leaves_nothing_that_is_not_found(
    pool: EmulatedPool, fleet: Fleet, layers: dict[str, Layer]
) -> None:
    def create() -> None:
        fleet.create(["web"], "web:1", LAYERED)

    def gone() -> None:
        assert all(outcome.ok for outcome in fleet.delete(["*"])) if fleet.names() else True
        for name in layers:
            fleet._host.remove_layer(layers[name])

    count = calls(fleet, create)
    for at in range(count):
        gone()
        if dies(fleet, at, create):
            assert fleet.names() in ([], ["web"])
            create()
        instance = fleet.machine("web").instance
        assert drives(pool, instance) == ATTACHED, at
        comes_up(fleet, "web")
        assert len(lying(pool, "layer")) == 2 and lying(pool, "upload") == [], at
    orphaned(fleet)


@pytest.mark.full
@pytest.mark.parametrize("what", ["rebase", "rollback", "commit"])
def test_killed_over_a_rebase(
    pool: EmulatedPool, fleet: Fleet, state: Path, tmp_path: Path, what: str
) -> None:
    seal(state, tmp_path, "tiny", "1")
    newer: Master = seal(state, tmp_path, "next", "1")
    sealed(fleet, tmp_path, above="tiny")
    [one] = fleet.create(["one"], "tiny", LAYERED)
    assert fleet.start(["one"], timeout=20.0)[0].ok and fleet.kill(["one"])[0].ok
    on_pool(fleet, newer)
    test_host_rebase.killed(pool, fleet, one, newer, what, range)
