"""Layers in machines that run: their files are there, their order decides, and each machine may hide them."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.fleet.rebase_rollout import Rollout
from skinnybox.fleet.rebases import Wishes
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.view import Condition
from skinnybox.model import Acceleration, Allocation, Change, Overlay
from skinnybox.sizes import MIB
from tests.boot.test_rebase import _sealed as sealed_version
from tests.faults import small_guest
from tests.layered import planted
from tests.pace import within

SECONDS = 120.0
WANTED = Specification(overlay=Overlay(size=64 * MIB, allocation=Allocation.SPARSE), memory=192 * MIB)
TREES = {
    "low": {
        "srv/site/index.html": "low",
        "srv/site/only-low": "low",
        "opt/tool/run": "tool",
        "data/0": "low",
    },
    "mid": {"srv/site/index.html": "mid", "srv/site/only-mid": "mid"},
    "top": {"srv/site/index.html": "top", "srv/site/gone": "top"},
}


@pytest.fixture
def fleet(test_kernel: Path, tmp_path: Path) -> Iterator[Fleet]:
    """With the small guest as its master, and three layers for it."""
    state = tmp_path / "state"
    small_guest.sealed(state / "masters", tmp_path, test_kernel)
    with open_fleet(Settings(state=state, reach=False)) as opened:  # its guests have host keys, and no sshd
        for name, files in TREES.items():
            opened.layers.import_tree(planted(tmp_path / name, files), f"{name}:1", above="small")
        yield opened
        if opened.names():
            opened.delete(opened.names(), force=True)


def up(fleet: Fleet, name: str) -> None:
    started = fleet.start([name], timeout=within(SECONDS))[0]
    assert started.ok, (started.error, fleet.console_log(name).decode(errors="replace"))


def told(fleet: Fleet, name: str, line: str) -> list[str]:
    """The lines that the guest's shell says to it."""
    with fleet.console(name) as console:
        console.settimeout(within(SECONDS))
        console.sendall(f"{line}; echo asked-$((1 + 1))\n".encode())
        said = b""
        while b"asked-2" not in said:
            said += console.recv(4096)
    return said.decode().replace("\r", "").split("\n")[:-1]


def down(fleet: Fleet, name: str) -> None:
    with fleet.console(name) as console:
        console.sendall(b"sync; poweroff -f\n")
    deadline = time.monotonic() + within(SECONDS)
    while fleet.machine(name).condition is not Condition.STOPPED:
        assert time.monotonic() < deadline, fleet.machine(name)
        time.sleep(0.1)


def changes(fleet: Fleet, name: str, folder: bytes) -> list[Change]:
    with fleet.overlays.changes(name) as found:
        return [change for change in found if change.path.startswith(folder)]


def test_layers_lie_between_the_master_and_what_a_machine_wrote(fleet: Fleet) -> None:
    fleet.create(["one"], "small", replace(WANTED, layers=("low",)))
    up(fleet, "one")
    assert "lowlowtoollow" in told(fleet, "one", "cat /srv/site/* /opt/tool/run /data/0; echo")
    down(fleet, "one")

    fleet.create(["three"], "small", replace(WANTED, layers=("low", "mid", "top")))
    up(fleet, "three")
    view = fleet.machine("three")
    assert view.condition is Condition.READY and view.current_report is not None
    assert len(view.current_report.images) == 4
    listed = told(fleet, "three", "cd /srv/site; for f in *; do echo $f=$(cat $f); done")
    assert [line for line in listed if "=" in line] == [
        "gone=top", "index.html=top", "only-low=low", "only-mid=mid",
    ]  # fmt: skip
    assert "two" in told(fleet, "three", "rm gone; echo two >only-low; cat only-low; touch index.html; sync")
    down(fleet, "three")
    up(fleet, "three")
    again = told(fleet, "three", "cd /srv/site; for f in *; do echo $f=$(cat $f); done")
    assert [line for line in again if "=" in line] == ["index.html=top", "only-low=two", "only-mid=mid"]
    down(fleet, "three")
    found = {change.path: change.kind.value for change in changes(fleet, "three", b"srv/")}
    assert found == {
        b"srv/site/gone": "deleted",
        b"srv/site/only-low": "modified",
        b"srv/site/index.html": "metadata",
    }


@pytest.mark.full
def test_layers_stay_above_another_master(test_kernel: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    for version in "12":
        sealed_version(state / "masters", tmp_path, test_kernel, version)
    settings = Settings(state=state, reach=False, accelerator=Acceleration.TCG)
    with open_fleet(settings) as fleet:
        site = {"srv/site/index.html": "layer", "srv/site/more": "layer", "data/0": "layer"}
        fleet.layers.import_tree(planted(tmp_path / "site", site), "site:1", above="small:1")
        fleet.create(["web"], "small:1", replace(WANTED, layers=("site",)))
        up(fleet, "web")
        told(fleet, "web", "echo mine >/srv/site/more; echo altered >/data/1; sync")
        down(fleet, "web")
        how = Rollout(timeout=within(2 * SECONDS), stay_on=frozenset({"web"}))
        [done] = fleet.rebases.run(["web"], "small:2", Wishes(), how)
        assert done.error is None, (done.error, fleet.console_log("web").decode(errors="replace")[-3000:])
        shown = told(
            fleet, "web", "cat /data/0 /srv/site/index.html; echo; cat /data/1 /data/new /srv/site/more"
        )
        assert {"layerlayer", "altered", "new", "mine"} <= set(shown), shown
        assert fleet.machine("web").instance.stack.layers == ("site:1",)
        fleet.delete(["web"], force=True)
