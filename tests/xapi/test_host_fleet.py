"""The whole fleet on a pool: from a sealed master to machines that are ready, and gone."""

import dataclasses
from pathlib import Path

import pytest

from skinnybox.errors import Conflict, Unsupported
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.specification import Specification
from skinnybox.fleet.view import Condition
from skinnybox.hosts.xapi import tags
from skinnybox.model import Allocation, Network, Overlay
from skinnybox.sizes import MIB
from tests.emulators.xapi import vms
from tests.samples import seal
from tests.xapi.furnished import furnished, host_on, plain_disk

pytestmark = pytest.mark.image
SMALL = Specification(
    overlay=Overlay(size=64 * MIB, allocation=Allocation.SPARSE),
    memory=256 * MIB,
    cpus=1,
    network=Network.BRIDGE,
    bridge="lan",
)


def test_a_fleet_on_a_pool(tmp_path: Path) -> None:
    state = tmp_path / "state"
    seal(state, tmp_path, "tiny", "1")
    with furnished() as pool:
        with Fleet(state, host_on(pool, state, make_disk=plain_disk), boots_at_once=2) as fleet:
            with pytest.raises(Unsupported):
                fleet.create(["a"], "tiny", dataclasses.replace(SMALL, network=Network.PASST, bridge=None))
            made = fleet.create(["web-{01..03}"], "tiny", SMALL)
            assert [instance.name for instance in made] == ["web-01", "web-02", "web-03"]
            outcomes = fleet.start(["*"], timeout=20.0)
            assert [outcome.error for outcome in outcomes] == [None] * 3
            assert {machine.condition for machine in fleet.machines()} == {Condition.READY}
            fleet.stop(["*"], Stopping(timeout=20.0))
            assert {machine.condition for machine in fleet.machines()} == {Condition.STOPPED}
        with Fleet(state, host_on(pool, state), boots_at_once=2) as fleet:
            pool.log.clear()
            assert [outcome.error for outcome in fleet.delete(["web-01", "web-02"])] == [None] * 2
            assert pool.log.count("export_raw_vdi") == 0  # nobody reads what is to go
            assert fleet.names() == ["web-03"]
        with pool.database() as database:
            own = [record for record in database.tables["VM"].values() if not record["is_control_domain"]]
            assert [record["name_label"] for record in own] == ["web-03"]
            assert len(database.tables["VDI"]) == 3 and not database.tables["session"]


def test_names_that_others_have(tmp_path: Path) -> None:
    """One name, two machines in XenCenter: refused before anything is made. Templates may be called so."""
    state = tmp_path / "state"
    seal(state, tmp_path, "tiny", "1")
    with furnished() as pool:
        pool.add_template("web-01")
        with pool.database() as database:
            vm = vms.make(pool.xapi, {"name_label": "web-02", "HVM_boot_policy": "BIOS order"})
        with Fleet(state, host_on(pool, state, make_disk=plain_disk), boots_at_once=2) as fleet:
            pool.log.clear()
            with pytest.raises(Conflict, match="other machines of that name: web-02") as caught:
                fleet.create(["web-{01..03}"], "tiny", SMALL)
            assert caught.value.hint and not fleet.names()
            assert not pool.log.count("*.create") and not pool.log.count("import_raw_vdi")
        with pool.database() as database:
            database.update("VM", vm, is_a_snapshot=True, is_a_template=True)
        with Fleet(state, host_on(pool, state, make_disk=plain_disk), boots_at_once=2) as fleet:
            assert len(fleet.create(["web-{01..03}"], "tiny", SMALL)) == 3


def test_a_record_in_the_pool_that_cannot_be_read(tmp_path: Path) -> None:
    """Of one machine; whether it runs or not, the others are seen and go on."""
    state = tmp_path / "state"
    seal(state, tmp_path, "tiny", "1")
    with furnished() as pool:
        with Fleet(state, host_on(pool, state, make_disk=plain_disk), boots_at_once=2) as fleet:
            fleet.create(["a", "b"], "tiny", SMALL)
            assert [outcome.error for outcome in fleet.start(["a"], timeout=20.0)] == [None]
        with pool.database() as database:
            for reference, record in database.tables["VM"].items():
                if record["name_label"] in ("a", "b") and tags.RECORD in record["other_config"]:
                    broken = record["other_config"] | {tags.RECORD: "no record"}
                    database.set("VM", reference, "other_config", broken)
        with Fleet(state, host_on(pool, state), boots_at_once=2) as fleet:
            a, b = fleet.machines()
            assert a.condition in (Condition.READY, Condition.STARTING) and a.reason and "a" in a.reason
            assert b.condition is Condition.DAMAGED and b.reason and "machine b" in b.reason
            assert [outcome.error for outcome in fleet.kill(["a"])] == [None]
