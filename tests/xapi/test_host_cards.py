"""Cards of our machines in a pool: by MACs of their own, each on its network."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import NotFound
from skinnybox.hosts.xapi import build
from skinnybox.hosts.xapi.host import XapiHost
from skinnybox.model import Instance, Nic
from skinnybox.operation import Operation
from tests.emulators.xapi import EmulatedPool
from tests.xapi.conftest import Sealed
from tests.xapi.furnished import host_on, machine, make_one, plain_disk

New = Callable[..., Instance]


@pytest.fixture
def host(our_pool: EmulatedPool, tmp_path: Path, sealed: Sealed) -> Iterator[XapiHost]:
    our_pool.add_network("storage")
    our_pool.add_network("backup")
    opened = host_on(our_pool, tmp_path / "state", make_disk=plain_disk)
    opened.add_master(*sealed, Operation())
    yield opened
    opened.close()


def cards(pool: EmulatedPool, instance: Instance) -> dict[str, tuple[str, str]]:
    """By device, network and MAC."""
    held = machine(pool, instance)["VIFs"]
    with pool.database() as database:
        records = [database.record("VIF", vif) for vif in held]
        return {
            record["device"]: (database.get("network", record["network"], "name_label"), record["MAC"])
            for record in sorted(records, key=lambda record: str(record["device"]))
        }


def with_cards(instance: Instance, *networks: str) -> Instance:
    return replace(instance, seed=replace(instance.seed, nics=tuple(Nic(bridge=name) for name in networks)))


def test_a_machine_gets_its_cards_by_their_numbers(
    our_pool: EmulatedPool, host: XapiHost, new_instance: New
) -> None:
    made = with_cards(new_instance(), "storage", "backup")
    make_one(host, made, Operation())
    assert cards(our_pool, made) == {
        "0": ("lan", made.mac), "1": ("storage", made.mac_of(1)), "2": ("backup", made.mac_of(2)),
    }  # fmt: skip


def test_a_network_that_is_not_there_is_found_before_anything_is_made(
    our_pool: EmulatedPool, host: XapiHost, new_instance: New
) -> None:
    with pytest.raises(NotFound):
        host.define(with_cards(new_instance(), "storage", "nowhere"))
    with our_pool.database() as database:
        assert not database.tables.get("VIF")


def test_cards_of_a_halted_machine_become_what_its_record_says(
    our_pool: EmulatedPool, host: XapiHost, new_instance: New
) -> None:
    """What somebody else gave it stays."""
    made = with_cards(new_instance(), "storage")
    make_one(host, made, Operation())
    vm = machine(our_pool, made)["uuid"]
    with our_pool.database() as database:
        vm = next(key for key, record in database.tables["VM"].items() if record["uuid"] == vm)
        networks = database.tables["network"].items()
        lan = next(key for key, record in networks if record["name_label"] == "lan")
    host._pool.call("VIF.create", build.card(vm, lan, "00:16:3e:00:00:01", 2))
    host.define(with_cards(made, "backup", "storage"))
    assert cards(our_pool, made) == {
        "0": ("lan", made.mac), "1": ("backup", made.mac_of(1)), "2": ("lan", "00:16:3e:00:00:01"),
        "3": ("storage", made.mac_of(2)),
    }  # fmt: skip
    host.define(made)
    assert set(cards(our_pool, made).values()) == {
        ("lan", made.mac), ("storage", made.mac_of(1)), ("lan", "00:16:3e:00:00:01"),
    }  # fmt: skip
    host.define(with_cards(made))
    assert set(cards(our_pool, made).values()) == {("lan", made.mac), ("lan", "00:16:3e:00:00:01")}


def test_the_only_card_of_a_machine_goes_to_another_network(
    our_pool: EmulatedPool, host: XapiHost, new_instance: New
) -> None:
    """It stayed where it was, and the record said something else. What does not move it costs no call."""
    made = new_instance()
    make_one(host, made, Operation())
    moved = replace(made, bridge="storage")
    host.define(moved)
    assert cards(our_pool, moved) == {"0": ("storage", made.mac)}
    our_pool.log.clear()
    host.define(replace(moved, cpus=2))
    assert our_pool.log.count("VIF.get_record") == 0
    host.define(replace(moved, bridge="lan"))
    host.define(with_cards(made, "backup"))
    host.define(replace(with_cards(made), bridge="storage"))
    assert cards(our_pool, moved) == {"0": ("storage", made.mac)}


def test_of_one_that_runs_it_goes_there_at_the_next_start(
    our_pool: EmulatedPool, host: XapiHost, new_instance: New, sealed: Sealed
) -> None:
    made = new_instance()
    make_one(host, made, Operation())
    host.start(made, *sealed, Operation())
    moved = replace(made, bridge="storage")
    host.define(moved)
    assert cards(our_pool, made) == {"0": ("lan", made.mac)}
    host.power_off(made)
    host.start(moved, *sealed, Operation())
    assert cards(our_pool, made) == {"0": ("storage", made.mac)}


def test_a_network_that_was_given_another_name_keeps_nobody_from_a_start(
    our_pool: EmulatedPool, host: XapiHost, new_instance: New, sealed: Sealed
) -> None:
    made = new_instance()
    make_one(host, made, Operation())
    with our_pool.database() as database:
        networks = database.tables["network"].items()
        lan = next(key for key, record in networks if record["name_label"] == "lan")
        database.set("network", lan, "name_label", "lan of old")
    host.start(made, *sealed, Operation())
    assert cards(our_pool, made) == {"0": ("lan of old", made.mac)}
