"""Machines with layers on an emulated pool, under firmware: their guests find each on the disk that the pool
gives it, and show all of the stack."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.masters import imports
from skinnybox.operation import Operation
from tests.boot.on_a_pool import SECONDS, Skinnybox, booting, command_line
from tests.boot.test_layers import TREES
from tests.boot.test_pool import call, listed, until
from tests.emulators.xapi import EmulatedPool
from tests.faults import small_guest
from tests.layered import planted
from tests.pace import within

pytestmark = pytest.mark.full
MERGED = ["/srv/site/gone=top", "/srv/site/index.html=top", "/srv/site/only-low=low"]
SIZE = ("--overlay", "64M", "--memory", "256M")


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[EmulatedPool]:
    with booting(tmp_path) as pool:
        yield pool


@pytest.fixture
def state(tmp_path: Path, test_kernel: Path) -> Path:
    """With the small guest, which prints what it sees of the layers' folder, and three layers for it."""
    state = tmp_path / "state"
    tree = small_guest.tree(tmp_path / "tree", small_guest.static_busybox())
    init = tree / "sbin/init"
    shown = 'for file in /srv/site/*; do echo "$file=$(cat $file)"; done\n'
    init.write_text(init.read_text().replace('echo "small', f'{shown}echo "small'))
    shutil.copytree(test_kernel / "lib/modules", tree / "usr/lib/modules")
    imports.import_tree(
        tree, store=state / "masters", name="small", version="1", as_is=True,
        kernel=next(test_kernel.glob("boot/vmlinuz-*")), initrd=None, operation=Operation(),
    )  # fmt: skip
    with open_fleet(Settings(state=state, host="fake")) as fleet:
        layers(fleet, tmp_path)
    return state


def layers(fleet: Fleet, folder: Path) -> None:
    for name, files in TREES.items():
        fleet.layers.import_tree(planted(folder / name, files), f"{name}:1", above="small")


@pytest.fixture
def skinnybox(pool: EmulatedPool, state: Path) -> Skinnybox:
    return command_line(pool, state, reach=False)


def seen(pool: EmulatedPool, vm: str) -> list[str]:
    """What a guest printed of the layers' folder."""
    said = pool.console_of(vm).decode(errors="replace").replace("\r", "").split("\n")
    return [line for line in said if line.startswith("/srv/site/")]


def test_layers_on_a_pool(pool: EmulatedPool, skinnybox: Skinnybox) -> None:
    skinnybox("create", "web", "--master", "small", *SIZE, "--layer", "low", "--layer", "top")
    for _ in range(2):  # the first formats its overlay, the second finds it
        skinnybox("start", "web", "--timeout", str(within(SECONDS)))
        [shown] = json.loads(skinnybox("show", "web", "--format", "json"))
        assert shown["state"] == "ready", shown
        with pool.session() as api:
            [vm] = api.VM.get_by_name_label("web")
            metrics = api.VM_guest_metrics.get_record(api.VM.get_guest_metrics(vm))
        assert metrics["other"]["data-ts"].split(" ")[3].count(",") == 2  # three images
        assert seen(pool, vm) == MERGED
        skinnybox("kill", "web")


def test_layers_of_the_dom0_plugin(pool: EmulatedPool, skinnybox: Skinnybox) -> None:
    """It only knows what the pool has: the guest finds all the same, and formats its overlay on the order."""
    skinnybox("create", "probe", "--master", "small", *SIZE, "--layer", "low", "--layer", "top")
    skinnybox("delete", "probe", "--yes")
    pool.add_template("Stock", uefi=False, disk_size=8 << 30, default=True, memory=256 << 20)
    with pool.session() as api:
        call(api, pool, "create_template", template="Stock", name="thin", overlay="64M")
        words = {"template": "thin", "master": "small:1", "name": "web", "layers": "low:1,top:1"}
        call(api, pool, "provision", **words, start="true")
        until(lambda: [machine["report"] for machine in listed(api, pool)] == ["ready"])
        [vm] = api.VM.get_by_name_label("web")
        assert seen(pool, vm) == MERGED
        call(api, pool, "delete", name="web", force="true")
