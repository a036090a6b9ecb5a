"""`set`: what changes on machines that are there, and what cannot."""

import threading
from pathlib import Path

import pytest

from skinnybox.errors import Blocked, Conflict, NotFound, SkinnyboxError, UsageError
from skinnybox.fleet.service import Fleet
from skinnybox.model import Network
from skinnybox.sizes import MIB
from tests.fleet.conftest import SPARSE, open_fake


def test_set_changes_machines_and_refuses_what_cannot_be(fleet: Fleet) -> None:
    fleet.create(["a", "b"], "tiny", SPARSE)
    fleet.start(["b"])
    assert all(outcome.ok for outcome in fleet.set(["a", "b"], {"memory": 512 * MIB, "cpus": 4}))
    assert [(m.instance.memory, m.instance.cpus) for m in fleet.machines()] == [(512 * MIB, 4)] * 2
    before = fleet.machine("a").instance
    for wrong in ({"memory": 1}, {"cpus": 0}, {"network": Network.BRIDGE}, {"bridge": "br0"}):
        assert isinstance(fleet.set(["a"], wrong)[0].error, SkinnyboxError)  # type: ignore[arg-type]
    assert fleet.machine("a").instance == before
    fleet.delete(["a"])
    with pytest.raises(NotFound):
        fleet.set(["a"], {"cpus": 2})


def test_a_machine_gets_another_ssh_port(fleet: Fleet) -> None:
    first, second = fleet.create(["a", "b"], "tiny", SPARSE)
    assert fleet.set(["a"], {"ssh_port": 2201})[0].ok
    assert fleet.machine("a").address == "root@127.0.0.1:2201"
    assert fleet.set(["a"], {"ssh_port": 2201, "cpus": 2})[0].ok
    with pytest.raises(UsageError, match="several"):
        fleet.set(["a", "b"], {"ssh_port": 2202})
    for wrong in (22, 65536):
        assert isinstance(fleet.set(["b"], {"ssh_port": wrong})[0].error, UsageError)
    assert isinstance(fleet.set(["b"], {"ssh_port": 2201})[0].error, Conflict)
    assert second.ssh_port is not None and fleet.set(["b"], {"ssh_port": second.ssh_port})[0].ok
    fleet.start(["b"])
    assert isinstance(fleet.set(["b"], {"ssh_port": 2202})[0].error, Blocked)
    assert fleet.machine("b").instance.ssh_port == second.ssh_port
    assert fleet.create(["c"], "tiny", SPARSE)[0].ssh_port == first.ssh_port  # free again


def test_two_changes_at_once_are_both_kept(fleet: Fleet, state: Path) -> None:
    fleet.create(["a"], "tiny", SPARSE)

    def change(key: str) -> None:
        with open_fake(state) as own:
            for number in range(2, 12):
                wanted = number * 256 * MIB if key == "memory" else number
                while True:  # who comes second is told who is at it
                    [outcome] = own.set(["a"], {key: wanted})  # type: ignore[misc]
                    if outcome.ok:
                        break
                    assert (
                        isinstance(outcome.error, Conflict) and "is being changed by" in outcome.error.message
                    )

    threads = [threading.Thread(target=change, args=(key,)) for key in ("memory", "cpus")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = fleet.machine("a").instance
    assert (found.memory, found.cpus) == (11 * 256 * MIB, 11)
