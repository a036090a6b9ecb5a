"""Machines with layers on another master: the layers stay, and all of the stack is what is decided by."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.delta.rebase.replay import Replay
from skinnybox.errors import Blocked
from skinnybox.fleet import rebase_replay
from skinnybox.fleet.rebase_replay import Replaying
from skinnybox.fleet.rebases import Wishes
from skinnybox.fleet.service import Fleet
from skinnybox.masters.system import image as sealed_image
from skinnybox.model import Acceleration, Instance, Layer
from skinnybox.operation import UNATTENDED
from tests.fleet import rebasing
from tests.fleet.conftest import SPARSE, said
from tests.fleet.rebasing import agrees, has, moved
from tests.fleet.test_disks import image
from tests.fleet.test_layered import copied_up
from tests.fleet.test_rebase import put, two_masters
from tests.layered import DATED, planted

__all__ = ["two_masters"]
fleet = rebasing.fleet_of_two
FILES = {"srv/site/index.html": "site\n", "srv/site/more": "more\n", "opt/tool": "tool\n"}


@pytest.fixture
def site(fleet: Fleet, tmp_path: Path) -> Layer:
    return fleet.layers.import_tree(planted(tmp_path / "site", FILES), "site:1", above="web:1")


@pytest.fixture
def web(fleet: Fleet, state: Path, site: Layer) -> Instance:
    """Off, on web:1 and the layer, of which it has altered a file and copied another up."""
    [instance] = fleet.create(["web"], "web:1", replace(SPARSE, layers=("site",)))
    put(image(state, instance), "own", "mine")
    copied_up(state, instance, "srv/site/index.html", b"mine\n", DATED + 1)
    copied_up(state, instance, "srv/site/more", b"more\n")
    return instance


def test_the_layers_stay_and_so_does_what_was_made_of_them(
    fleet: Fleet, state: Path, web: Instance, site: Layer, capsys: pytest.CaptureFixture[str]
) -> None:
    _, decided = fleet.rebases.plan("web", "web:2", Wishes())
    kinds = {each.name: each.kind for each in decided if each.name.startswith("srv")}
    assert kinds == {"srv/site/index.html": "changed", "srv/site/more": "no change"}
    assert moved(fleet, "web").new == "web:2"
    machine = agrees(fleet, state, "web")
    stack = machine.instance.stack
    assert (stack.reference, stack.layers, stack.layer_ids) == ("web:2", ("site:1",), (site.id,))
    new = fleet.masters.find("web:2").images[0].digest
    assert stack.images == (new, site.images[0].digest)
    assert has(state, web, "own") == "mine" and has(state, web, "srv/site/index.html") == "mine\n"
    assert has(state, web, "srv/site/more") is None
    found = json.loads(said(capsys, "changes", "web", "--format", "json").out)
    assert "/srv/site/index.html" in [each["path"] for each in found if each["change"] == "modified"]
    assert [outcome.ok for outcome in fleet.rebases.rollback(["web"])] == [True]
    assert fleet.machine("web").instance.stack == web.stack


def test_a_layer_that_does_not_go_above_the_new_master_blocks(
    fleet: Fleet, state: Path, tmp_path: Path, web: Instance
) -> None:
    only = fleet.layers.import_tree(tmp_path / "site", "only:1", above="web:1", only=True)
    [bound] = fleet.create(["bound"], "web:1", replace(SPARSE, layers=(only.reference,)))
    [outcome] = fleet.rebases.plans(["bound"], "web:2", Wishes())
    assert isinstance(outcome.error, Blocked) and "made for web:1 only" in outcome.error.message
    [moved_] = rebasing.rebase(fleet, "bound")
    assert isinstance(moved_.error, Blocked) and fleet.machine("bound").instance == bound


def test_a_replay_knows_the_layers(fleet: Fleet, web: Instance, site: Layer) -> None:
    """They are part of what the machine was and of what it will be: so nothing of them is to be installed."""
    [again] = fleet.rebases.plans(["web"], "web:2", Wishes(replay=True))
    assert again.error is None
    new = fleet.masters.find("web:2")
    folder = fleet.masters.folder(new)
    archive = Replaying(archive=lambda: pytest.fail("nothing is to be installed"))
    with rebase_replay._packages(Replay(), archive, folder, UNATTENDED) as (wanted, disk):
        machine = fleet.machine("web")
        appliance = rebase_replay._appliance(
            folder, machine, new, folder, disk, wanted, archive, Acceleration.AUTO
        )
    assert appliance.words == "replay.layers=1"
    own = [each.file for each in appliance.disks if each.serial == "skinny-layer-1"]
    assert own == [fleet.layers.folder(site) / "root.erofs"]


def test_images_are_read_as_one(fleet: Fleet, tmp_path: Path, site: Layer) -> None:
    upper = planted(tmp_path / "upper", {"srv/site/more": "upper\n", "srv/site/new": "new\n"})
    above = fleet.layers.import_tree(upper, "upper:1", above="web:1")
    files = [fleet.masters.folder(fleet.masters.find("web:1")), *map(fleet.layers.folder, (site, above))]
    opened = [(folder / "root.erofs").open("rb") for folder in files]
    source = sealed_image.stacked([file.fileno() for file in opened])
    assert source.names("srv/site") == ["index.html", "more", "new"]
    texts = {name: source.read(f"srv/site/{name}", 99) for name in source.names("srv/site")}
    assert texts == {"index.html": b"site\n", "more": b"upper\n", "new": b"new\n"}
    assert b"".join(source.pieces("srv/site/more")) == b"upper\n" and source.read("srv/none", 9) is None
    for file in opened:
        file.close()
