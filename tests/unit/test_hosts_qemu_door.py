"""Ready is what was reached: the supervisor's part, with a stand-in for the way in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from skinnybox.hosts.guest_io import reports
from skinnybox.hosts.guest_io.door import Door, recorded
from skinnybox.hosts.reach import Knock, Way
from skinnybox.model import Network, Report, Seed, StaticNetwork
from tests.samples import an_instance

NOW = datetime(2026, 1, 1, tzinfo=UTC)
READY = Report(
    ready=True, nonce="aa", instance=UUID(int=5), ssh_host_keys=("ssh-ed25519 AAAA",), received=NOW
)
STARTED: dict[str, Any] = {"nonce": "aa", "way": ["127.0.0.1", 20000]}


class Ways(dict[Way, bool]):
    """Which of them answer; and the stand-in for a Knock, which counts those at work."""

    at_work = 0

    def knock(self, way: Way) -> Knock:
        ways = self

        class Pretended(Knock):
            def __init__(self) -> None:
                self.way = way
                ways.at_work += 1

            def poll(self) -> bool:
                return ways.get(way, False)

            def close(self) -> None:
                ways.at_work -= 1

        return Pretended()


@pytest.fixture
def ways() -> Ways:
    return Ways()


def opened(door: Door) -> Report:
    found = door.poll()
    assert found is not None and found.reachable
    return found


def test_a_guest_is_reached_once_in_a_start(ways: Ways) -> None:
    door = Door(STARTED, None, ways.knock)
    assert door.poll() is None
    assert door.seen(READY) == replace(READY, reachable=False, ready_since=NOW)
    assert door.poll() is None and ways.at_work == 1
    ways[Way("127.0.0.1", 20000)] = True
    first = opened(door)
    assert first.received is not None and first.received > NOW
    assert opened(door)  # until it could be written down
    door.kept(first)
    assert door.poll() is None and ways.at_work == 0
    ways.clear()
    assert door.seen(READY).reachable is True and door.poll() is None and ways.at_work == 0


def test_a_report_that_changes_meanwhile_is_the_one_that_counts(ways: Ways) -> None:
    door = Door(STARTED, None, ways.knock)
    door.seen(READY)
    door.seen(replace(READY, overlay_free=7))
    ways[Way("127.0.0.1", 20000)] = True
    assert opened(door).overlay_free == 7


def test_nobody_knocks_any_more_at_one_that_failed_meanwhile(ways: Ways) -> None:
    door = Door(STARTED, None, ways.knock)
    door.seen(READY)
    assert door.poll() is None and ways.at_work == 1
    door.seen(replace(READY, ready=False))
    assert door.poll() is None and ways.at_work == 0


@pytest.mark.parametrize(
    ("values", "report"),
    [
        ({**STARTED, "way": None}, READY),
        ({"nonce": "aa"}, READY),  # started by a Skinnybox that did not look
        ({**STARTED, "way": ["127.0.0.1", 99999]}, READY),
        ({**STARTED, "way": "127.0.0.1"}, READY),
        (STARTED, replace(READY, ssh_host_keys=())),
        (STARTED, replace(READY, ready=False)),
    ],
)
def test_nobody_knocks_where_there_is_nothing_to_ask(
    ways: Ways, values: dict[str, Any], report: Report
) -> None:
    door = Door(values, None, ways.knock)
    assert door.seen(report).reachable is None and door.poll() is None and ways.at_work == 0


def test_an_address_may_come_late_and_change(ways: Ways) -> None:
    door = Door({**STARTED, "way": "reported"}, None, ways.knock)
    door.seen(READY)
    assert door.poll() is None and ways.at_work == 0
    door.seen(replace(READY, addresses=("eth0 127.0.0.1/8", "eth0 198.18.0.5/24")))
    assert door.poll() is None and ways.at_work == 1
    ways[Way("198.18.0.6")] = True
    assert door.poll() is None
    door.seen(replace(READY, addresses=("eth0 198.18.0.6/24",)))
    assert opened(door).addresses == ("eth0 198.18.0.6/24",) and ways.at_work == 1


def test_another_supervisor_goes_on(ways: Ways) -> None:
    record = reports.to_record(replace(READY, reachable=False))
    ways[Way("127.0.0.1", 20000)] = True
    assert opened(Door(STARTED, record, ways.knock))
    reached = Door(STARTED, {**record, "reachable": True}, ways.knock)
    assert reached.poll() is None and reached.seen(READY).reachable is True
    for other in ({**record, "nonce": "bb"}, {**record, "reachable": None}, {"reachable": True}, None):
        assert Door(STARTED, other, ways.knock).poll() is None


def test_where_to_look_is_known_at_the_start_or_said_by_the_guest() -> None:
    static = Seed(hostname="a", machine_id="0" * 32, network=StaticNetwork(address="192.0.2.5/24"))
    bridged = an_instance(network=Network.BRIDGE, bridge="br0", ssh_port=None)
    assert recorded(an_instance(ssh_port=20000)) == ["127.0.0.1", 20000]
    assert recorded(an_instance(ssh_port=20000, seed=static)) == ["127.0.0.1", 20000]
    assert recorded(an_instance(ssh_port=None)) is None
    assert recorded(bridged) == "reported"
    assert recorded(replace(bridged, seed=static)) == ["192.0.2.5", 22]


def test_when_it_was_ready_stays_when_it_reports_again(ways: Ways) -> None:
    """By its word alone; once it has answered; and for the supervisor that takes over."""
    later = NOW + timedelta(minutes=5)
    alone = Door({**STARTED, "way": None}, None, ways.knock)
    assert alone.seen(replace(READY, ready=False)).ready_since is None
    assert alone.seen(READY).ready_since == NOW
    again = alone.seen(replace(READY, received=later))
    assert (again.ready_since, again.received) == (NOW, later)
    assert Door({**STARTED, "way": None}, reports.to_record(again)).seen(READY).ready_since == NOW

    door = Door(STARTED, None, ways.knock)
    assert door.seen(READY).ready_since == door.seen(replace(READY, received=later)).ready_since == NOW
    ways[Way("127.0.0.1", 20000)] = True
    first = opened(door)
    assert first.ready_since and NOW < first.ready_since <= (first.received or NOW)
    assert opened(door).ready_since == first.ready_since
    door.kept(first)
    again = door.seen(replace(READY, received=later))
    assert again.ready_since == first.ready_since
    other = Door(STARTED, reports.to_record(again), ways.knock)
    assert other.seen(replace(READY, received=later)).ready_since == first.ready_since
    older = {**reports.to_record(first), "ready_since": None}
    assert Door(STARTED, older, ways.knock).seen(replace(READY, received=later)).ready_since == first.received
    earlier = {**reports.to_record(again), "nonce": "bb"}
    assert Door(STARTED, earlier, ways.knock).seen(READY).ready_since == NOW
