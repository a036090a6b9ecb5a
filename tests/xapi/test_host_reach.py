"""Which of a master's disks a machine attaches: none that ties it to a host where its overlay does not."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox.errors import Blocked
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.model import Instance
from skinnybox.operation import Operation
from tests.emulators.xapi import EmulatedPool
from tests.xapi.conftest import Sealed
from tests.xapi.furnished import furnished, host_on, make_one, plain_disk

New = Callable[..., Instance]


@pytest.fixture
def pool() -> Iterator[EmulatedPool]:
    """`shared` is seen by both hosts, the others by one each."""
    with furnished(hosts=("alpha", "beta")) as pool:
        pool.add_sr("of-alpha", "ext", on=[0])
        pool.add_sr("of-beta", "lvm", on=[1])
        yield pool


@pytest.fixture
def on(pool: EmulatedPool, tmp_path: Path) -> Iterator[Callable[[str], XapiHost]]:
    """A host with that SR chosen, of one state folder."""
    opened: list[XapiHost] = []

    def choose(sr: str) -> XapiHost:
        opened.append(host_on(pool, tmp_path / "state", make_disk=plain_disk, sr=sr))
        return opened[-1]

    yield choose
    for host in opened:
        host.close()


def masters(pool: EmulatedPool) -> list[str]:
    """The SRs of disks that machines attach."""
    with pool.database() as database:
        return sorted(
            database.get("SR", record["SR"], "name_label")
            for record in database.tables["VDI"].values()
            if record["other_config"].get("skinnybox:role") == "master"
        )


def drives(pool: EmulatedPool, instance: Instance) -> dict[str, str]:
    """Of its places, the SRs of the disks in them."""
    with pool.database() as database:
        return {
            record["userdevice"]: database.get(
                "SR", database.get("VDI", record["VDI"], "SR"), "name_label"
            )
            for record in database.tables["VBD"].values()
            if database.get("VM", record["VM"], "name_label") == instance.name
        }  # fmt: skip


def test_a_local_disk_is_not_enough_for_shared_storage(
    pool: EmulatedPool, on: Callable[[str], XapiHost], sealed: Sealed, new_instance: New
) -> None:
    local, shared, other = on("of-alpha"), on("shared"), on("of-beta")
    tied, free, late = new_instance("tied"), new_instance("free"), new_instance("late")
    local.add_master(*sealed, Operation())
    make_one(local, tied, Operation())
    assert masters(pool) == ["of-alpha"] and drives(pool, tied) == {"0": "of-alpha", "1": "of-alpha"}
    for _ in range(2):
        shared.add_master(*sealed, Operation())
        assert masters(pool) == ["of-alpha", "shared"]
    make_one(shared, free, Operation())
    assert drives(pool, free) == {"0": "shared", "1": "shared"}
    other.add_master(*sealed, Operation())
    assert masters(pool) == ["of-alpha", "shared"]  # every host sees that one
    make_one(other, late, Operation())
    assert drives(pool, late) == {"0": "shared", "1": "of-beta"}
    for instance, host in ((tied, shared), (free, local), (late, local)):  # whatever is chosen now
        host.start(instance, *sealed, Operation())
        host.power_off(instance)
    assert masters(pool) == ["of-alpha", "shared"] and drives(pool, tied) == {
        "0": "of-alpha",
        "1": "of-alpha",
    }
    for instance in (tied, free, late):
        with pytest.raises(Blocked):
            shared.remove_master(sealed.master)
        shared.delete(instance)
    on("shared").remove_master(sealed.master)
    with pool.database() as database:
        assert not database.tables["VDI"]


def test_two_local_srs(
    pool: EmulatedPool, on: Callable[[str], XapiHost], sealed: Sealed, new_instance: New
) -> None:
    """A machine could start nowhere with a disk on each."""
    for sr, name in (("of-alpha", "a"), ("of-beta", "b")):
        host, instance = on(sr), new_instance(name)
        host.add_master(*sealed, Operation())
        make_one(host, instance, Operation())
        assert drives(pool, instance) == {"0": sr, "1": sr}
        host.start(instance, *sealed, Operation())
    assert masters(pool) == ["of-alpha", "of-beta"]


def test_a_start_brings_the_disk_to_where_the_overlay_is(
    pool: EmulatedPool, on: Callable[[str], XapiHost], sealed: Sealed, new_instance: New
) -> None:
    """Also with another SR chosen by then."""
    instance = new_instance()
    make_one(on("of-beta"), instance, Operation())
    assert drives(pool, instance) == {"1": "of-beta"}
    on("of-alpha").start(instance, *sealed, Operation())
    assert drives(pool, instance) == {"0": "of-beta", "1": "of-beta"} and masters(pool) == ["of-beta"]
    on("of-alpha").power_off(instance)


def test_an_upload_that_fails_spares_the_disk_on_another_sr(
    pool: EmulatedPool, on: Callable[[str], XapiHost], sealed: Sealed
) -> None:
    on("of-alpha").add_master(*sealed, Operation())
    pool.faults.fail("import_raw_vdi", "SR_BACKEND_FAILURE_47", "", "", "")
    with pytest.raises(Exception, match="just now"):
        on("shared").add_master(*sealed, Operation())
    pool.faults.clear()
    with pool.database() as database:
        roles = [record["other_config"]["skinnybox:role"] for record in database.tables["VDI"].values()]
    assert sorted(roles) == ["master", "source"] and masters(pool) == ["of-alpha"]
