"""An address on a bridge is one machine's, whoever comes meanwhile; and two exchange what they have."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from skinnybox.errors import Conflict, SkinnyboxError
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.plan.actions import Choices
from skinnybox.fleet.plan.apply import Plan
from skinnybox.fleet.power import Starting
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.model import Instance, Network, Nic, StaticNetwork
from skinnybox.overlays import inspect
from skinnybox.wire import decode
from tests.fleet.conftest import SPARSE, open_fake, rewritten
from tests.fleet.fleetfile import HEAD, File

FIVE = StaticNetwork(address="10.0.0.5/24")
ON = replace(SPARSE, network=Network.BRIDGE, bridge="br0", static_network=FIVE)


@pytest.fixture(autouse=True)
def _bridges(monkeypatch: pytest.MonkeyPatch) -> None:
    bridges = frozenset({"br0", "br1"})
    monkeypatch.setattr(FakeHost, "features", replace(FakeHost.features, bridges=bridges))


def told(state: Path, fleet: Fleet, name: str) -> str | None:
    """What its overlay's seed says of its address."""
    disk = state / "instances" / str(fleet.machine(name).instance.uuid) / "overlay.img"
    return decode(inspect._content(disk, "seed", 16384), "seed").get("network")


def test_a_machine_that_is_made_meanwhile_does_not_get_it(fleet: Fleet) -> None:
    """Nobody had it when both looked."""
    [first] = fleet.create(["a"], "tiny", ON)
    second = replace(first, uuid=uuid4(), name="b", ssh_port=None)
    card = Nic(bridge="br0", network=FIVE)
    third = replace(second, seed=replace(second.seed, network=None, nics=(card,)))
    for wanted in (second, third, replace(third, bridge="br1")):
        with pytest.raises(Conflict, match=r"10\.0\.0\.5 on br0 is the address of a"):
            fleet._catalog.claim([wanted])
    elsewhere = replace(second, bridge="br1")
    assert fleet._catalog.claim([elsewhere]) == [elsewhere]


def test_of_two_at_once_one_gets_the_address(
    fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second comes while the first tells its host, for which no transaction is open."""
    fleet.create(["a"], "tiny", replace(ON, bridge="br1"))
    fleet.create(["b"], "tiny", replace(ON, network=None, bridge=None))
    here, second = {"network": Network.BRIDGE, "bridge": "br0"}, list[Outcome[MachineView]]()
    with open_fake(state) as other:
        define: Callable[[Instance], None] = fleet._host.define

        def slowly(instance: Instance) -> None:
            second.extend(other.set(["b"], here))  # type: ignore[arg-type]
            define(instance)

        with monkeypatch.context() as patched:
            patched.setattr(fleet._host, "define", slowly)
            assert fleet.set(["a"], here)[0].ok  # type: ignore[arg-type]
        [outcome] = second
        assert isinstance(outcome.error, Conflict) and "is the address of a" in outcome.error.message
        assert fleet.set(["a"], {"network": None})[0].ok
        assert other.set(["b"], here)[0].ok  # type: ignore[arg-type]


def test_an_address_is_free_again_when_the_host_refused(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.create(["a"], "tiny", replace(ON, bridge="br1"))

    def refusing(instance: Instance) -> None:
        raise SkinnyboxError("the disk is on fire")

    with monkeypatch.context() as patched:
        patched.setattr(fleet._host, "define", refusing)
        assert not fleet.set(["a"], {"bridge": "br0"})[0].ok
    assert fleet.create(["b"], "tiny", ON)


def test_who_has_one_already_keeps_it(fleet: Fleet) -> None:
    """By whatever way two came to the same: each can still be changed, but get no more that is another's."""
    [first] = fleet.create(["a"], "tiny", ON)
    fleet.create(["c"], "tiny", replace(ON, static_network=StaticNetwork(address="10.0.0.6/24")))
    twin = replace(first, uuid=uuid4(), name="b", ssh_port=None)
    with fleet._catalog._db.writing():
        fleet._catalog._insert([twin], Phase.DEFINED, None)
    fleet._host.define(twin)
    assert fleet.set(["a", "b"], {"cpus": 2})[0].ok
    more = replace(first.seed, network=replace(FIVE, also=("10.0.0.6/24",)))
    with pytest.raises(Conflict, match="is the address of c"):
        rewritten(fleet, replace(fleet.machine("a").instance, seed=more))


@pytest.mark.parametrize("reset", [False, True])
def test_an_address_that_is_taken_comes_into_no_overlay(file: File, state: Path, reset: bool) -> None:
    """One that was given meanwhile is found before the new seed is written, not when that is recorded."""
    file.write(HEAD + "machines:\n  a: {bridge: br0, address: 10.0.0.5/24}\n")
    assert all(outcome.ok for outcome in file.apply())
    file.write(HEAD + "machines:\n  a: {bridge: br0, address: 10.0.0.6/24}\n")

    def meanwhile(plan: Plan) -> None:
        with open_fake(state) as other:
            other.create(["b"], "tiny", replace(ON, static_network=StaticNetwork(address="10.0.0.6/24")))

    choices = Choices(reset=frozenset({"a"} if reset else ()))
    [outcome] = file.fleet.files.apply(file.path, choices, Starting(), meanwhile)
    assert isinstance(outcome.error, Conflict) and "10.0.0.6 on br0 is the address of b" in str(outcome.error)
    assert told(state, file.fleet, "a") == "static 10.0.0.5/24"
    assert file.fleet.machine("a").instance.seed.generation == 1


def ports(fleet: Fleet) -> dict[str, list[int]]:
    return {m.name: [forward.port for forward in m.instance.forwards] for m in fleet.machines()}


def addresses(fleet: Fleet) -> dict[str, str]:
    found = {m.name: m.instance.seed.network for m in fleet.machines()}
    return {name: network.address for name, network in found.items() if network}


def test_ports_are_exchanged_by_one_apply(file: File) -> None:
    """Each was refused, for the other one had it."""

    def write(*numbers: int) -> None:
        groups = zip("abc", numbers, strict=True)
        file.write(HEAD + "machines:\n" + "".join(f"  {n}: {{forwards: ['{p}:80']}}\n" for n, p in groups))

    write(8001, 8002, 8003)
    assert all(outcome.ok for outcome in file.apply())
    file.fleet.start(["b"])
    for numbers in ((8002, 8001, 8003), (8001, 8003, 8002), (8003, 8002, 8001), (8002, 8001, 8000)):
        write(*numbers)
        outcomes = file.apply()
        assert all(outcome.ok for outcome in outcomes) and len(outcomes) == len({o.name for o in outcomes})
        assert [*ports(file.fleet).values()] == [[number] for number in numbers] and file.plan() == []


def test_addresses_are_exchanged_by_one_apply(file: File, state: Path) -> None:
    def write(*numbers: int, more: str = "") -> None:
        said = (
            f"  {n}: {{bridge: br0, address: 10.0.0.{a}/24{more}}}\n"
            for n, a in zip("abc", numbers, strict=True)
        )
        file.write(HEAD + "machines:\n" + "".join(said))

    write(1, 2, 3)
    assert all(outcome.ok for outcome in file.apply())
    for numbers, reset in (
        ((2, 3, 1), ()),
        ((3, 2, 1), ("a", "b", "c")),
        ((4, 3, 2), ()),
        ((2, 4, 3), ("b",)),
    ):
        write(*numbers)
        assert [str(o.error) for o in file.apply(reset=frozenset(reset)) if not o.ok] == []
        wanted = {name: f"10.0.0.{number}/24" for name, number in zip("abc", numbers, strict=True)}
        assert addresses(file.fleet) == wanted and file.plan() == []
        assert {name: told(state, file.fleet, name) for name in "abc"} == {
            name: f"static {address}" for name, address in wanted.items()
        }
    write(4, 2, 3)
    assert [str(o.error) for o in file.apply(recreate=frozenset({"a"})) if not o.ok] == []
    assert addresses(file.fleet)["a"] == "10.0.0.4/24" and file.plan() == []


def test_killed_in_between_no_two_have_the_same(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each write of a record, and the next apply ends it."""

    def write(*numbers: int) -> None:
        said = (
            f"  {n}: {{bridge: br0, address: 10.0.0.{a}/24}}\n" for n, a in zip("ab", numbers, strict=True)
        )
        file.write(HEAD + "machines:\n" + "".join(said))

    write(5, 6)
    assert all(outcome.ok for outcome in file.apply())
    define: Callable[[FakeHost, Instance], None] = FakeHost.define
    at, pair = 0, (6, 5)
    while True:
        left = [at]

        def dying(host: FakeHost, instance: Instance, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            define(host, instance)

        write(*pair)
        with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
            patched.setattr(FakeHost, "define", dying)
            file.apply()
        assert len(set(addresses(file.fleet).values())) == len(addresses(file.fleet))
        assert all(outcome.ok for outcome in file.apply()) and file.plan() == []
        if left[0] >= 0:
            break
        at, pair = at + 1, (pair[1], pair[0])
    assert at > 2


def test_what_a_blocked_machine_does_not_leave_nobody_gets(file: File) -> None:
    """And who is kept from changing by that keeps its own. All others are made and changed."""

    def write(**numbers: int) -> None:
        said = (f"  {n}: {{bridge: br0, address: 10.0.0.{a}/24}}\n" for n, a in numbers.items())
        file.write(HEAD + "machines:\n" + "".join(said))

    write(a=1, b=2, c=3, d=4)
    assert all(outcome.ok for outcome in file.apply())
    file.fleet.start(["a"])
    write(a=9, b=1, c=2, d=5, e=3, f=7)
    assert file.plan() == ["seed d", "create f", "blocked a", "blocked b", "blocked c", "blocked e"]
    told = {o.name: str(o.error and o.error.message) for o in file.apply()}
    assert told["d"] == told["f"] == "None" and "a new seed needs it stopped" in told["a"]
    for name, whose in (("b", "10.0.0.1 on br0 is the address of a"), ("e", "is the address of c")):
        assert whose in told[name]
    file.fleet.kill(["a"])
    assert sorted(file.plan()) == ["create e", "seed a", "seed b", "seed c"]
    assert all(outcome.ok for outcome in file.apply()) and file.plan() == []
