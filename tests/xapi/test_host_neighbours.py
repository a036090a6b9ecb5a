"""Two state folders on one pool: neither sees the other's machines. And a folder that was lost."""

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skinnybox.errors import Blocked, Corrupt, NotFound, SkinnyboxError, UsageError
from skinnybox.fleet.catalog import host_kind
from skinnybox.fleet.doctor import examine
from skinnybox.fleet.repair import repair
from skinnybox.fleet.repair.examine import examine as examine_folder
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.specification import Specification
from skinnybox.hosts.xapi import tags
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.hosts.xapi.identity import FILE
from skinnybox.issues import Check, Deed, Finding
from skinnybox.model import Instance, Overlay
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.emulators.xapi import EmulatedPool
from tests.faults.leftovers import unexplained
from tests.samples import seal
from tests.xapi.conftest import Sealed
from tests.xapi.furnished import host_on, plain_disk

pytestmark = pytest.mark.image
SMALL = Specification(overlay=Overlay(size=32 * MIB), memory=256 * MIB, cpus=1, any_allocation=True)
New = Callable[..., Instance]


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    seal(tmp_path / "ours", tmp_path, "tiny", "1")
    return tmp_path / "ours"


@pytest.fixture
def theirs(ours: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(ours, tmp_path / "theirs"))


def opened(pool: EmulatedPool, state: Path, **chosen: Any) -> XapiHost:
    return host_on(pool, state, make_disk=plain_disk, **chosen)


def fleet(pool: EmulatedPool, state: Path, **chosen: Any) -> Fleet:
    return Fleet(state, opened(pool, state, **chosen), boots_at_once=4)


def id_of(state: Path) -> uuid.UUID:
    return uuid.UUID((state / FILE).read_text().strip())


def next_to(pool: EmulatedPool, state: Path) -> uuid.UUID:
    """The id of a folder with a machine of its own."""
    other = Path(shutil.copytree(state / "masters", state.parent / "next" / "masters")).parent
    with fleet(pool, other) as made:
        made.create(["other"], "tiny", SMALL)
    return id_of(other)


def in_pool(pool: EmulatedPool, fleet: uuid.UUID | None) -> dict[str, dict[str, object]]:
    """Every machine and disk of a machine that bears this id."""
    with pool.database() as database:
        return {
            ref: dict(record)
            for of in ("VM", "VDI")
            for ref, record in database.tables[of].items()
            if tags.instance_of(record) and tags.fleet_of(record) == fleet
        }


def kept(findings: list[Finding]) -> str:
    """What is said of neighbours, which is all there is."""
    assert [finding.deed for finding in findings] == [Deed.KEEP]
    return f"{findings[0].path} {findings[0].what}"


def doctor(host: XapiHost, name: str) -> list[Check]:
    return [check for check in host.doctor() if check.name == name]


def test_one_name_in_two_folders(pool: EmulatedPool, ours: Path, theirs: Path) -> None:
    with fleet(pool, ours) as first, fleet(pool, theirs) as second:
        (mine,), (other,) = first.create(["web"], "tiny", SMALL), second.create(["web"], "tiny", SMALL)
        assert pool.log.count("import_raw_vdi") == 1  # one master for both
        before = in_pool(pool, id_of(theirs))
        assert len(before) == 2 and in_pool(pool, None) == {}
        assert [outcome.error for outcome in second.start(["web"], timeout=20.0)] == [None]
        assert [machine.condition.value for machine in first.machines()] == ["stopped"]
        first._host.take_snapshot(mine, "one", Operation())
        host = opened(pool, ours)
        assert [record.uuid for record in host.records()] == [mine.uuid] and host.statuses() == {}
        assert [holding.uuid for holding in host.holdings()] == [mine.uuid]
        assert list(host.written([mine, other])) == [mine.uuid] and list(host.events()) == []
        assert host.reports([other.uuid]) == {} and len(in_pool(pool, id_of(ours))) == 3
        assert [outcome.error for outcome in first.delete(["web"])] == [None]
        assert in_pool(pool, id_of(ours)) == {} and in_pool(pool, id_of(theirs)).keys() == before.keys()
        assert [machine.condition.value for machine in second.machines()] == ["ready"]
        with pytest.raises(Blocked, match="still have"):
            host.remove_master(first.masters.find("tiny"))
        host.close()


def test_what_is_another_folders_is_not_touched(pool: EmulatedPool, ours: Path, theirs: Path) -> None:
    """By whoever knows its UUID as well."""
    with fleet(pool, theirs) as second:
        (other,) = second.create(["web"], "tiny", SMALL)
    with fleet(pool, ours) as first:
        first.create(["mine"], "tiny", SMALL)
    before, host = in_pool(pool, id_of(theirs)), opened(pool, ours)
    host.delete(other)
    host.power_off(other)
    for refused in (host.overlay_size, lambda each: host.take_snapshot(each, "one", Operation())):
        with pytest.raises(NotFound):
            refused(other)
    assert in_pool(pool, id_of(theirs)) == before
    host.close()


def test_repair_leaves_the_neighbours(pool: EmulatedPool, ours: Path, theirs: Path) -> None:
    """Also what was half made there, and long ago."""
    with fleet(pool, theirs) as second:
        second.create(["web-{1..4}"], "tiny", SMALL)
    with fleet(pool, ours) as first:
        (mine,) = first.create(["web-1"], "tiny", SMALL)
    with pool.database() as database:
        for ref, record in list(database.where("VDI")):
            if tags.fleet_of(record) == id_of(theirs) and tags.instance_of(record):
                old = {tags.ROLE: "making", tags.MADE: "2020-01-01T00:00:00+00:00"}
                database.set("VDI", ref, "other_config", record["other_config"] | old)
    before, host = in_pool(pool, id_of(theirs)), opened(pool, ours)
    said = kept(examine_folder(ours, host, delete_orphans=True).findings)
    assert str(id_of(theirs)) in said and "4 machines" in said and "web-1, web-2, web-3, ..." in said
    for _ in range(2):
        done = repair.repair(ours, host, delete_orphans=True)
        assert [outcome.error for outcome in done] == [None]
    assert in_pool(pool, id_of(theirs)) == before
    with fleet(pool, ours) as first:
        assert [machine.instance for machine in first.machines()] == [mine]
    (note,) = doctor(host, "neighbour")
    assert note.status == "note" and "4 machines" in note.detail and str(id_of(theirs)) in note.detail
    assert "1 machine" in doctor(host, "fleet")[0].detail
    host.close()


def test_machines_of_dom0_are_nobodys(pool: EmulatedPool, ours: Path) -> None:
    with fleet(pool, ours) as first:
        first.create(["web"], "tiny", SMALL)
    made = in_pool(pool, id_of(ours))
    with pool.database() as database:
        for ref in made:
            of = "VM" if ref in database.tables["VM"] else "VDI"
            database.set(of, ref, "other_config", {"skinnybox:dom0": str(uuid.uuid4())})
    host = opened(pool, ours)
    assert list(host.holdings()) == [] and list(host.leftovers(())) == []
    host.close()


def test_a_folder_that_only_looks_gets_no_id(pool: EmulatedPool, ours: Path, theirs: Path) -> None:
    with fleet(pool, theirs) as second:
        second.create(["web"], "tiny", SMALL)
    host = opened(pool, ours)
    assert host.statuses() == {} and list(host.records()) == []
    assert str(id_of(theirs)) in kept(examine_folder(ours, host).findings)
    assert "no id yet" in doctor(host, "fleet")[0].detail and not (ours / FILE).exists()
    host.close()


def test_a_lost_folder_is_taken_up(pool: EmulatedPool, ours: Path, theirs: Path) -> None:
    with fleet(pool, theirs) as second:
        second.create(["web"], "tiny", SMALL)
    with fleet(pool, ours) as first:
        before = first.create(["web", "db"], "tiny", SMALL)
    lost = id_of(ours)
    for each in ours.iterdir():
        if each.name != "masters":
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    with fleet(pool, ours) as anew:
        assert anew.machines() == [] and not (ours / FILE).exists()
    with pytest.raises(NotFound) as caught:
        opened(pool, ours, fleet=uuid.uuid4()).statuses()
    assert caught.value.hint and f"{lost} (db, web)" in caught.value.hint
    done = repair.repair(ours, opened(pool, ours, fleet=lost))
    assert [outcome.error for outcome in done] == [None] * 3
    assert sorted(outcome.value.deed for outcome in done if outcome.value) == ["adopt", "adopt", "keep"]
    with fleet(pool, ours) as anew:  # it is kept from then on
        assert {each.instance.uuid for each in anew.machines()} == {each.uuid for each in before}
        anew.start(["web"], timeout=20.0)
        anew.delete(["*"], force=True)
    assert id_of(ours) == lost and host_kind.noted(ours) == host_kind.XAPI and not in_pool(pool, lost)
    left = unexplained(ours)  # a lock is not unlinked: another command may be about to take it
    assert {(path.parent, path.suffix) for path in left} <= {(Path("run/xapi"), ".lock")}
    assert len(in_pool(pool, id_of(theirs))) == 2


def test_an_address_that_contradicts_the_folder(pool: EmulatedPool, ours: Path, theirs: Path) -> None:
    for state in (ours, theirs):
        with fleet(pool, state) as each:
            each.create(["web"], "tiny", SMALL)
    host = opened(pool, ours, fleet=id_of(theirs))
    with pytest.raises(UsageError, match=str(id_of(ours))):
        host.statuses()
    (check,) = doctor(host, "fleet")
    assert check.status == "fail" and len(doctor(host, "neighbour")) == 2
    assert opened(pool, ours, fleet=id_of(ours)).statuses() == {}
    host.close()


@pytest.mark.parametrize("left", [None, "", "no id at all\n"])
def test_the_id_alone_is_lost(pool: EmulatedPool, ours: Path, left: str | None) -> None:
    """Nothing is forgotten, nor another id made: all machines would seem to be gone."""
    with fleet(pool, ours) as first:
        first.create(["web"], "tiny", SMALL)
    lost = id_of(ours)
    (ours / FILE).unlink() if left is None else (ours / FILE).write_text(left)
    with fleet(pool, ours) as first:
        for refused in (
            first.machines,
            lambda: repair.repair(ours, first._host),
            lambda: first.create(["db"], "tiny", SMALL),
        ):
            with pytest.raises(Corrupt) as caught:
                refused()
            assert caught.value.hint and str(lost) in caught.value.hint
        checks = {check.name: check for check in examine(ours, first._host)}
        assert checks["fleet"].status == checks["state folder"].status == "fail"
        assert str(lost) in checks["neighbour"].detail
        assert first.names() == ["web"]
    (ours / FILE).unlink(missing_ok=True)
    with pytest.raises(Corrupt):
        opened(pool, ours, fleet=next_to(pool, ours)).statuses()
    with fleet(pool, ours, fleet=lost) as first:
        assert len(first.machines()) == 1
    with fleet(pool, ours) as first:
        assert len(first.create(["db"], "tiny", SMALL)) == 1
    assert id_of(ours) == lost


def test_an_upload_of_a_neighbour_goes_on(pool: EmulatedPool, sealed: Sealed, tmp_path: Path) -> None:
    """While we upload the same; what one of ours left goes at once, what a neighbour left after an hour."""
    hosts = [opened(pool, tmp_path / name) for name in ("ours", "theirs")]
    for host in hosts:
        pool.faults.fail("import_raw_vdi", "SR_BACKEND_FAILURE_47", "", "", "")
        pool.faults.fail("VDI.destroy", "SR_BACKEND_FAILURE_47", "", "", "")
        with pytest.raises(SkinnyboxError):
            host.add_master(*sealed, Operation())
        pool.faults.clear()
    assert roles(pool) == ["upload", "upload"]
    hosts[0].add_master(*sealed, Operation())
    assert roles(pool) == ["master", "source", "upload"]
    assert [finding.deed for finding in hosts[0].leftovers(())] == [Deed.KEEP]
    with pool.database() as database:
        for ref, record in list(database.where("VDI")):
            if tags.role_of(record) == "upload":
                long_ago = {tags.MADE: "2020-01-01T00:00:00+00:00"}
                database.set("VDI", ref, "other_config", record["other_config"] | long_ago)
    (left,) = hosts[0].leftovers(())
    assert left.act
    left.act()
    assert roles(pool) == ["master", "source"]
    hosts[0].remove_master(sealed.master)
    assert roles(pool) == []
    for host in hosts:
        host.close()


def roles(pool: EmulatedPool) -> list[str]:
    with pool.database() as database:
        return sorted(tags.role_of(record) for record in database.tables["VDI"].values())
