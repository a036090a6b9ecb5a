"""`set`: what changes on machines that are there, and what cannot."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import Blocked, Conflict, NotFound, SkinnyboxError, Unsupported, UsageError
from skinnybox.fleet.service import Fleet
from skinnybox.model import Forward, Network
from skinnybox.model.forwards import parse_forward
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


def forwards(*texts: str) -> tuple[Forward, ...]:
    return tuple(map(parse_forward, texts))


def test_ports_lead_into_one_machine_each(fleet: Fleet) -> None:
    web = replace(SPARSE, forwards=forwards("8080:80"))
    fleet.create(["a"], "tiny", web)
    for names, wanted, said in (
        (["b"], web, "port 8080 of 127.0.0.1 leads to a already"),
        (["b"], replace(web, forwards=forwards("0.0.0.0:8080:1")), "port 8080 of 0.0.0.0 leads to a already"),
        (["b", "c"], replace(web, forwards=forwards("8079:80")), "port 8080 of 127.0.0.1 leads to a already"),
    ):
        with pytest.raises(Conflict, match=said):
            fleet.create(names, "tiny", wanted)
    with pytest.raises(UsageError, match="are the same port of this host"):
        fleet.create(["b"], "tiny", replace(web, forwards=forwards("8081:80", "8081:81")))
    bridged = replace(web, network=Network.BRIDGE, bridge="br0")
    with pytest.raises(Unsupported, match="leads to a machine on a bridge"):
        fleet.create(["b"], "tiny", bridged)
    twice = replace(web, forwards=forwards("8081:80", "8082:81"))
    with pytest.raises(Conflict, match="leads to b already"):
        fleet.create(["b", "c"], "tiny", twice)
    with pytest.raises(UsageError, match="from 1024 to 65535"):
        fleet.create(["b", "c"], "tiny", replace(web, forwards=forwards("65535:80")))
    assert fleet.names() == ["a"]
    counting = fleet.create(["x", "y"], "tiny", replace(web, forwards=forwards("7000:80", "7100:443")))
    assert [list(map(str, each.forwards)) for each in counting] == [
        ["127.0.0.1:7000:80", "127.0.0.1:7100:443"], ["127.0.0.1:7001:80", "127.0.0.1:7101:443"]
    ]  # fmt: skip
    fleet.create(["b"], "tiny", replace(web, forwards=forwards("127.0.0.2:8080:80")))
    assert isinstance(fleet.set(["b"], {"forwards": forwards("8080:80")})[0].error, Conflict)
    assert isinstance(fleet.set(["b"], {"ssh_port": 8080})[0].error, Conflict)
    assert fleet.set(["a"], {"ssh_port": 9090})[0].ok
    assert isinstance(fleet.set(["b"], {"forwards": forwards("9090:80")})[0].error, Conflict)
    assert fleet.set(["a"], {"forwards": ()})[0].ok
    assert fleet.set(["b"], {"forwards": forwards("8080:80")})[0].ok


def test_two_changes_at_once_are_both_kept(fleet: Fleet, state: Path) -> None:
    fleet.create(["a"], "tiny", SPARSE)

    def change(key: str) -> None:
        with open_fake(state) as own:
            for number in range(2, 12):
                wanted = number * 256 * MIB if key == "memory" else number
                while True:  # who comes second is told who is at it
                    [outcome] = own.set(["a"], {key: wanted})  # type: ignore[arg-type]
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
