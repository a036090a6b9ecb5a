"""The plugin's machines beside those that `skinnybox` makes of the same disks, in one pool."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skinnybox.errors import Blocked
from skinnybox.fleet.repair import repair
from skinnybox.fleet.service import Fleet
from skinnybox.hosts.xapi import xenstore_data
from skinnybox.issues import Deed
from tests.emulators.xapi import EmulatedPool
from tests.plugin.conftest import GIB, Dom0
from tests.plugin.test_machines import disks, message_of, told
from tests.samples import seal
from tests.xapi.furnished import SMALL, at_work, furnished, host_on, plain_disk
from tests.xapi.layered import LAYERED, sealed

pytestmark = pytest.mark.image
SAME = ("VDI", "userdevice", "mode", "bootable", "type", "other_config")


@pytest.fixture
def pool(plugins: Path) -> Iterator[EmulatedPool]:
    with furnished(guest=at_work, plugins=plugins) as pool:
        yield pool


@pytest.fixture
def fleet(pool: EmulatedPool, tmp_path: Path) -> Iterator[Fleet]:
    """With the master tiny:1 and its layers low:1 and top:1, and one machine of all."""
    state = tmp_path / "state"
    seal(state, tmp_path, "tiny", "1")
    with Fleet(state, host_on(pool, state, make_disk=plain_disk), boots_at_once=1) as fleet:
        sealed(fleet, tmp_path)
        fleet.create(["theirs"], "tiny", LAYERED)
        yield fleet


@pytest.fixture
def dom0(pool: EmulatedPool, fleet: Fleet) -> Iterator[Dom0]:
    pool.add_template("Stock", uefi=False, disk_size=8 * GIB, default=True)
    with pool.session() as api:
        dom0 = Dom0(pool, api, api.SR.get_by_name_label("shared")[0], "")
        dom0.thin_template(overlay="32M")
        yield dom0


def shared(dom0: Dom0, name: str) -> dict[str, dict[str, Any]]:
    found = disks(dom0, dom0.vm(name)).items()
    return {place: {key: drive[key] for key in SAME} for place, drive in found if place != "1"}


def stack(dom0: Dom0, name: str) -> list[bytes]:
    """What its guest hears of what it boots from."""
    keys = told(dom0.vm(name))
    images = [line for line in message_of(keys, "base").splitlines() if line.startswith(b"image ")]
    return [keys["layers"].encode(), keys["master"].encode(), keys["overlay"].encode(), *images]


def test_the_same_stack_is_the_same_machine(dom0: Dom0, fleet: Fleet, tmp_path: Path) -> None:
    """Down to each drive of the disks that both share; and those of one are safe from the other."""
    dom0.provision("ours", master="tiny:1", layers="low:1,top:1", start="true")
    assert shared(dom0, "ours") == shared(dom0, "theirs") and len(shared(dom0, "ours")) == 3
    assert stack(dom0, "ours") == stack(dom0, "theirs") and len(stack(dom0, "ours")) == 6
    keys = set(told(dom0.vm("theirs"))) - {xenstore_data.FORMAT}
    assert keys <= set(told(dom0.vm("ours")))
    assert fleet.names() == ["theirs"] and fleet.delete(["theirs"])[0].error is None
    with pytest.raises(Blocked, match="1 machines of the pool still have low:1"):
        fleet.layers.remove("low")
    found = [each.value for each in repair.repair(tmp_path / "state", fleet._host) if each.value]
    assert [finding for finding in found if finding.deed is Deed.REMOVE] == []
    assert [each["missing"] for each in dom0.call("list")["machines"]] == [[]]
    dom0.call("delete", name="ours", force="true")
    assert fleet.layers.remove("low").reference == "low:1"


def test_only_above_a_master_of_which_skinnybox_made_one(dom0: Dom0, fleet: Fleet, tmp_path: Path) -> None:
    """It looks whether a layer goes above a later version; the plugin has nothing to look at."""
    seal(tmp_path / "state", tmp_path, "tiny", "2")
    fleet.create(["plain"], "tiny:2", SMALL)
    asked = {"template": "thin", "master": "tiny:2", "name": "ours", "layers": "low:1"}
    assert dom0.refused("provision", **asked) == ["SKINNYBOX_LAYER_NOT_ABOVE", "low:1", "tiny:2"]
    fleet.create(["probe"], "tiny:2", LAYERED)
    assert [each.error for each in fleet.delete(["probe", "theirs", "plain"])] == [None] * 3
    assert dom0.call("provision", **asked)["name"] == "ours"
    masters = [each["masters"] for each in dom0.call("layers")["layers"]]
    assert masters == [["tiny:1", "tiny:2"], ["tiny:1", "tiny:2"]]
