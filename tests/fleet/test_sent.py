"""What comes over a network: batches described by keys, fleet files as texts, and changes of a revision."""

import threading
from pathlib import Path
from typing import Any

import pytest

from skinnybox.errors import Outdated, UsageError
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.plan.actions import Choices
from skinnybox.fleet.plan.apply import agreed
from skinnybox.fleet.power import Starting
from skinnybox.fleet.revision import revision
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.spec.reading import Sent
from skinnybox.fleet.spec.sent import MOST, Misdescribed, batch
from skinnybox.sizes import GIB, MIB
from tests.fleet.conftest import SPARSE

SMALL: dict[str, Any] = {"master": "tiny", "overlay": "64M", "sparse": True, "memory": "256M"}


def test_a_batch_says_what_a_group_says(fleet: Fleet) -> None:
    said = {
        **SMALL, "address": "10.0.0.{11..12}/24", "network": "bridge", "bridge": "br0", "labels": {"a": "b"},
        "run_once": {"template": "echo {name} {index}"},
    }  # fmt: skip
    made = fleet.create_batch(batch(["web-{1..2}"], said, fleet="shop"))
    assert [m.name for m in made] == ["web-1", "web-2"]
    assert [m.seed.network and m.seed.network.addresses for m in made] == [
        ("10.0.0.11/24",), ("10.0.0.12/24",),
    ]  # fmt: skip
    assert [m.seed.run_once for m in made] == ["echo web-1 1", "echo web-2 2"]
    assert {m.fleet for m in made} == {"shop"}
    again = fleet.create_batch(batch(["web-{1..3}"], SMALL), skip_existing=True)
    assert [m.name for m in again] == ["web-3"]
    assert again[0].fleet is None


def test_several_patterns_are_one_group(fleet: Fleet) -> None:
    found = batch(["web-{1..2}", "db"], {**SMALL, "address": "10.0.0.1/24"})
    networks = [own.static_network for own in found.each.values()]
    assert [network and network.addresses[0] for network in networks] == [
        "10.0.0.1/24", "10.0.0.2/24", "10.0.0.3/24",
    ]  # fmt: skip


def test_every_mistake_is_told_by_its_key() -> None:
    with pytest.raises(Misdescribed) as caught:
        batch(["a"], {"memory": "1K", "cpus": "two", "labels": {"name": "x"}, "overly": "1G"})
    told = {tuple(each["where"]): each["what"] for each in caught.value.places}
    assert told.keys() == {("memory",), ("cpus",), ("labels",), ("overly",), ()}
    assert "did you mean overlay" in told[("overly",)]
    assert "no `master`" in told[()]


@pytest.mark.parametrize(
    "said",
    [
        {"run_once": {"file": "/etc/shadow"}},
        {"run_once": {"template": {"file": "/etc/shadow"}}},
        {"user_data": {"file": "/etc/shadow"}},
        {"ssh_keys": [{"file": "/etc/shadow"}]},
        {"users": [{"name": "x", "ssh_keys": [{"file": "/etc/shadow"}]}]},
        {"files": [{"target": "/x", "source": "/etc/shadow"}]},
        {"values": {"file": "/etc/shadow"}},
        {"encrypt": "/etc/shadow"},
        {"encrypt": "/keys/{name}"},
    ],
)
def test_no_file_of_this_host_is_read_for_who_is_elsewhere(fleet: Fleet, said: dict[str, Any]) -> None:
    with pytest.raises(Misdescribed, match="of the server"):
        batch(["a"], {**SMALL, **said})
    text = f"version: 1\nfleet: x\nmachines:\n  a: { ({**SMALL, **said})!r}\n".replace("True", "true")
    with pytest.raises(UsageError, match="of the server"):
        fleet.files.plan(Sent(content=text.encode()), Choices())


def test_a_batch_is_bounded() -> None:
    deep: Any = "x"
    for _ in range(40):
        deep = [deep]
    for names, said in ((["a"], {"dns": deep}), ([f"w-{{1..{MOST + 1}}}"], SMALL), ([], SMALL),
                        (["w-{1..999999999}"], SMALL), (["a"], {"dns": ["x"] * 200_000})):  # fmt: skip
        with pytest.raises(UsageError):
            batch(names, said)


def test_a_preview_of_a_batch_makes_nothing(fleet: Fleet) -> None:
    found = fleet.preview_batch(batch(["a", "b"], {**SMALL, "address": "10.0.0.1/24"}))
    assert [(each.name, each.addresses) for each in found.machines] == [
        ("a", ("10.0.0.1/24",)), ("b", ("10.0.0.2/24",)),
    ]  # fmt: skip
    assert (found.promised, found.refusal, fleet.names()) == (2 * 64 * MIB, None, [])


def test_a_fleet_file_may_be_a_text(fleet: Fleet) -> None:
    text = b"version: 1\nfleet: x\nmachines:\n  a: {master: tiny, overlay: 64M, sparse: true}\n"
    plan = fleet.files.plan(Sent(content=text), Choices())
    assert [(action.verb, action.name) for action in plan.actions] == [("create", "a")]
    fleet.files.apply(Sent(content=text), Choices(), Starting(), agreed)
    assert fleet.files.plan(Sent(content=text), Choices()).actions == ()
    with pytest.raises(UsageError, match="fleet file:1:1"):
        fleet.files.plan(Sent(content=b"x"), Choices())


def test_of_two_who_change_a_machine_only_one_does(fleet: Fleet) -> None:
    """Both have seen the same; each asks at the same time for something else."""
    [made] = fleet.create(["a"], "tiny", SPARSE)
    seen, results = revision(made), list[bool]()
    begin = threading.Barrier(8)

    def edit(number: int) -> None:
        begin.wait()
        [outcome] = fleet.set(["a"], {"memory": (256 + number) * MIB}, expect=seen)
        results.append(outcome.ok)

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 7 + [True]
    assert revision(fleet.machine("a").instance) != seen


def test_what_changed_meanwhile_is_changed_by_no_other_way_either(fleet: Fleet, tmp_path: Path) -> None:
    from skinnybox.model.swap import parse_swap

    [made] = fleet.create(["a"], "tiny", SPARSE)
    seen = revision(made)
    fleet.set(["a"], {"cpus": 2})
    before = fleet.machine("a").instance
    outcomes: list[Outcome[Any]] = [
        *fleet.set(["a"], {"ssh_port": 25_000}, expect=seen),
        *fleet.overlays.tell(["a"], {"swap": parse_swap("zram")}, expect=seen),
        *fleet.overlays.tell(["a"], {}, changes={"cpus": 3}, expect=seen),
        *fleet.overlays.give_data(["a"], GIB, ["/data"], expect=seen),
    ]
    assert [type(outcome.error) for outcome in outcomes] == [Outdated] * 4
    assert fleet.machine("a").instance == before
    [good] = fleet.overlays.tell(["a"], {"swap": parse_swap("zram")}, expect=revision(before))
    assert good.ok
