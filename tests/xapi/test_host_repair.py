"""What `repair` finds in a pool, what it does about it, and what it never touches."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from skinnybox.errors import Blocked, Corrupt, SkinnyboxError
from skinnybox.fleet.registry import open_host
from skinnybox.fleet.repair import repair
from skinnybox.fleet.repair.examine import examine as examine_folder
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.specification import Specification
from skinnybox.hosts.base import Contents
from skinnybox.hosts.xapi import tags
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.issues import Deed, Finding
from skinnybox.model import Instance, Overlay
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.emulators.xapi import EmulatedPool
from tests.xapi.furnished import host_on, plain_disk

pytestmark = pytest.mark.image
SMALL = Specification(overlay=Overlay(size=33 * MIB), memory=256 * MIB, cpus=1, any_allocation=True)
LONG_AGO = (datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="seconds")


@pytest.fixture
def host(pool: EmulatedPool, state: Path) -> Iterator[XapiHost]:
    opened = host_on(pool, state, make_disk=plain_disk)
    yield opened
    opened.close()


@pytest.fixture
def made(pool: EmulatedPool, state: Path) -> Instance:
    with Fleet(state, host_on(pool, state, make_disk=plain_disk), boots_at_once=2) as fleet:
        return fleet.create(["web"], "tiny", SMALL)[0]


def disks(pool: EmulatedPool, name: str) -> list[str]:
    with pool.database() as database:
        return [ref for ref, each in database.where("VDI") if each["name_label"] == name]


def mark(pool: EmulatedPool, of: str, reference: str, **values: str | None) -> None:
    """Change keys of other_config, past everybody."""
    with pool.database() as database:
        config: dict[str, Any] = dict(database.get(of, reference, "other_config"))
        config |= {f"skinnybox:{key}": value for key, value in values.items()}
        kept = {key: value for key, value in config.items() if value is not None}
        database.set(of, reference, "other_config", kept)


def told(state: Path, host: XapiHost, **how: bool) -> list[Finding]:
    return examine_folder(state, host, **how).findings


def mended(state: Path, host: XapiHost, **how: bool) -> list[Finding]:
    done = repair.repair(state, host, **how)
    assert not [outcome.error for outcome in done if outcome.error]
    return [outcome.value for outcome in done if outcome.value]


def test_nothing_is_found_where_all_is_well(state: Path, host: XapiHost, made: Instance) -> None:
    """Also of an overlay that the pool rounded up."""
    assert told(state, host) == []


def test_a_lost_memory_comes_back_from_the_pool(state: Path, host: XapiHost, made: Instance) -> None:
    for file in state.glob("state.db*"):
        file.unlink()
    # Else it would give their names away.
    with Fleet(state, host, boots_at_once=2) as lost, pytest.raises(Corrupt, match="lost"):
        lost.names()
    assert {finding.deed for finding in mended(state, host)} == {Deed.REWRITE, Deed.ADOPT}
    with Fleet(state, host, boots_at_once=2) as fleet:
        assert fleet.machine("web").instance == made


def test_a_machine_that_is_gone_is_forgotten(
    state: Path, host: XapiHost, pool: EmulatedPool, made: Instance
) -> None:
    with pool.session() as api:
        (vm,) = [ref for ref, each in api.VM.get_all_records().items() if each["name_label"] == "web"]
        api.VM.set_blocked_operations(vm, {})
        api.VM.destroy(vm)
        api.VDI.destroy(disks(pool, "web overlay")[0])
    assert [finding.deed for finding in mended(state, host, forget=True)] == [Deed.FORGET]
    assert told(state, host) == []


def orphan(host: XapiHost, new: Instance) -> Instance:
    from skinnybox.overlays.seed import base_message, seed_message

    host.create_overlay(new, Contents(base=base_message(new), seed=seed_message(new)), Operation())
    return new


def other(made: Instance, name: str) -> Instance:
    import dataclasses

    return dataclasses.replace(made, uuid=uuid.uuid4(), name=name)


def test_an_overlay_without_a_machine(
    state: Path, host: XapiHost, pool: EmulatedPool, made: Instance
) -> None:
    """Somebody may be making it: another machine's commands, that we do not see."""
    orphan(host, other(made, "lost"))
    (vdi,) = disks(pool, "lost overlay")
    (found,) = told(state, host, delete_orphans=True)
    assert found.deed is Deed.KEEP and "in the making" in found.what
    mark(pool, "VDI", vdi, made=LONG_AGO)
    (found,) = told(state, host)
    assert found.deed is Deed.KEEP and "--delete-orphans" in found.what
    with pool.session() as api:
        (vm,) = [ref for ref, each in api.VM.get_all_records().items() if each["name_label"] == "web"]
        from tests.xapi import records

        vbd = api.VBD.create(records.drive(vm, vdi, "5", "RO"))
        (found,) = told(state, host, delete_orphans=True)
        assert found.deed is Deed.KEEP and disks(pool, "lost overlay")
        api.VBD.destroy(vbd)
    assert [finding.deed for finding in mended(state, host, delete_orphans=True)] == [Deed.REMOVE]
    assert not disks(pool, "lost overlay") and disks(pool, "web overlay") and told(state, host) == []


def test_a_disk_taken_into_use_after_the_look_stays(
    state: Path, host: XapiHost, pool: EmulatedPool, made: Instance
) -> None:
    orphan(host, other(made, "lost"))
    (vdi,) = disks(pool, "lost overlay")
    mark(pool, "VDI", vdi, made=LONG_AGO)
    (found,) = told(state, host, delete_orphans=True)
    with pool.session() as api:
        (vm,) = [ref for ref, each in api.VM.get_all_records().items() if each["name_label"] == "web"]
        from tests.xapi import records

        api.VBD.create(records.drive(vm, vdi, "5", "RO"))
    assert found.act is not None
    with pytest.raises(SkinnyboxError):
        found.act()
    assert disks(pool, "lost overlay")


@pytest.mark.parametrize("role", ["upload", "source"])
def test_an_upload_that_was_killed(
    state: Path, host: XapiHost, pool: EmulatedPool, made: Instance, role: str
) -> None:
    with pool.database() as database:
        (master,) = [
            ref for ref, each in database.where("VDI") if each["other_config"].get(tags.ROLE) == "master"
        ]
        digest = database.get("VDI", master, "other_config")[tags.DIGEST]
    assert told(state, host) == []
    with pool.session() as api:
        half = api.VDI.clone(master)
        api.VDI.set_name_label(half, "half")
    mark(pool, "VDI", half, role=role, digest="sha256:" + "0" * 64, made=datetime.now(UTC).isoformat())
    (found,) = told(state, host)
    assert found.deed is Deed.KEEP
    mark(pool, "VDI", half, made=LONG_AGO)
    with host._pool.exclusive(f"master-{'0' * 64}", "it"):
        assert told(state, host)[0].deed is Deed.KEEP
    assert [finding.deed for finding in mended(state, host)] == [Deed.REMOVE]
    assert not disks(pool, "half") and digest
    mark(pool, "VDI", master, made=LONG_AGO)
    assert told(state, host) == []  # a master stays, used or not


def test_what_a_killed_rebuild_left(state: Path, host: XapiHost, pool: EmulatedPool, made: Instance) -> None:
    (vdi,) = disks(pool, "web overlay")
    with pool.session() as api:
        for name, role, generation in (("half", "making", "2"), ("older", "superseded", "0")):
            copy = api.VDI.clone(vdi)
            api.VDI.set_name_label(copy, name)
            mark(pool, "VDI", copy, role=role, generation=generation, made=LONG_AGO)
        moment = api.VDI.snapshot(vdi)
        mark(pool, "VDI", moment, role="moment", made=LONG_AGO)
    deeds = {finding.deed for finding in mended(state, host)}
    assert deeds == {Deed.REMOVE} and told(state, host) == []
    with pool.database() as database:
        left = [ref for ref, each in database.where("VDI") if tags.INSTANCE in each["other_config"]]
    assert left == [vdi]


def test_a_record_that_cannot_be_read(
    state: Path, host: XapiHost, pool: EmulatedPool, made: Instance
) -> None:
    with pool.database() as database:
        (vm,) = [ref for ref, each in database.where("VM") if each["name_label"] == "web"]
    mark(pool, "VM", vm, record="no record at all")
    assert {finding.deed for finding in mended(state, host)} == {Deed.KEEP, Deed.REWRITE}
    assert told(state, host) == [] and [each.uuid for each in host.records()] == [made.uuid]


def test_a_machine_without_its_overlay(
    state: Path, host: XapiHost, pool: EmulatedPool, made: Instance
) -> None:
    with pool.session() as api:
        (vdi,) = disks(pool, "web overlay")
        for vbd in api.VDI.get_VBDs(vdi):
            api.VBD.destroy(vbd)
        api.VDI.destroy(vdi)
    (found,) = told(state, host)
    assert found.deed is Deed.KEEP and "lost its overlay" in found.what


def test_copies_that_a_killed_command_worked_with(
    state: Path,
    host: XapiHost,
    made: Instance,
    nothing_is_young: None,
) -> None:
    with host._pool.workspace() as living:
        dead = living.with_name("work-dead")
        dead.mkdir()
        (dead / "overlay.img").write_bytes(b"x")
        assert [finding.path for finding in mended(state, host)] == [dead]
        assert not dead.exists() and living.exists()


def test_machines_of_another_kind_of_host(state: Path, made: Instance) -> None:
    with pytest.raises(Blocked):
        open_host("qemu", state)
    for file in state.glob("state.db*"):
        file.unlink()
    open_host("memory", state).close()  # there are none any more


def test_what_kills_and_people_leave_on_this_machine(
    host: XapiHost, state: Path, made: Instance, nothing_is_young: None
) -> None:
    """Beside what a pool's state folder has anyhow: locks, events, templates."""
    (state / "run/events.lock").touch()
    assert (state / "run/xapi").is_dir() and told(state, host) == []
    left = {
        "run/notes": Deed.KEEP,
        "run/xapi/notes": Deed.KEEP,
        "run/xapi/work-a_b": Deed.REMOVE,
        "templates/.making-ab": Deed.REMOVE,
        "templates/notes": Deed.KEEP,
    }
    for name in left:
        (state / name).parent.mkdir(exist_ok=True)
        (state / name).touch()
    assert {str(found.path.relative_to(state)): found.deed for found in told(state, host)} == left
