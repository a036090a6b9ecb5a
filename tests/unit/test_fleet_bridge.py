"""Machines on a bridge, as values: asked for, recorded, reached. And the addresses of their cards."""

import json
import sys
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from skinnybox.cli.parser import build_parser
from skinnybox.cli.specified import _network
from skinnybox.errors import Conflict, GuestFailed, NotFound, UsageError
from skinnybox.fleet.access import USUAL, ssh_argv
from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification, check
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.hosts.qemu import bridge
from skinnybox.hosts.qemu.bridge import tap_name
from skinnybox.hosts.record import from_record, to_record
from skinnybox.model import Instance, Network, Overlay, Power, Report, Seed, StaticNetwork, Status
from skinnybox.sizes import GIB
from tests.samples import an_instance

NOTHING_SAID = Settings(state=Path("x"))

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ME = uuid.UUID(int=7)


INSTANCE = an_instance(uuid=ME, network=Network.BRIDGE, bridge="br0")


def instance(**fields: Any) -> Instance:
    return replace(INSTANCE, **fields)


def machine(*addresses: str, made: Instance | None = None) -> MachineView:
    report = Report(ready=True, nonce="ab", instance=ME, addresses=addresses)
    return MachineView(
        instance=made or instance(),
        phase=Phase.DEFINED,
        status=Status(power=Power.RUNNING, nonce="ab", pid=1, since=NOW),
        report=report,
        host_keys=("ssh-ed25519 AAAA",),
    )


def test_a_bridge_is_recorded_and_an_older_record_has_none() -> None:
    record = json.loads(json.dumps(to_record(instance())))
    assert from_record(record) == instance()
    del record["bridge"], record["sum"]
    assert from_record({**record, "network": "open"}) == instance(bridge=None, network=Network.OPEN)


@pytest.mark.parametrize(
    ("reported", "reached"),
    [
        (("eth0 192.0.2.9/24",), "192.0.2.9"),
        (("eth0 fe80::1/64", "eth0 2001:db8::9/64"), "2001:db8::9"),
        (("lo 127.0.0.1/8", "eth0 192.0.2.9/24"), "192.0.2.9"),
        (("e 0.0.0.0/0", "e ::/0", "e ::1/128", "e 224.0.0.1/24"), None),
        (("e ::ffff:127.0.0.1/128", "e 169.254.3.4/16"), None),
        ((), None),
    ],
)
def test_where_ssh_goes_is_never_back_to_this_host(reported: tuple[str, ...], reached: str | None) -> None:
    found = machine(*reported).reach
    assert found == (None if reached is None else (reached, 22))


def test_a_static_address_wins_over_what_the_guest_says() -> None:
    static = Seed(hostname="web-01", machine_id="0" * 32, network=StaticNetwork(address="192.0.2.5/24"))
    made = machine("eth0 203.0.113.1/24", made=instance(seed=static))
    assert made.reach == ("192.0.2.5", 22) and made.address == "root@192.0.2.5"


def test_ssh_goes_to_the_machine_itself_with_its_pinned_keys(tmp_path: Path) -> None:
    (tmp_path / "id_ed25519").touch()
    words = ssh_argv(tmp_path, machine("eth0 192.0.2.9/24"), USUAL, batch=True)
    assert words[-1] == "root@192.0.2.9" and words[words.index("-p") + 1] == "22"
    assert f"HostKeyAlias={ME}" in words and "StrictHostKeyChecking=yes" in words
    assert (tmp_path / "known_hosts" / str(ME)).read_text() == f"{ME} ssh-ed25519 AAAA\n"
    with pytest.raises(Conflict, match="has not reported an address"):
        ssh_argv(tmp_path, machine(), USUAL, batch=True)
    with pytest.raises(Conflict, match="is off"):
        ssh_argv(tmp_path, replace(machine(), status=None), USUAL, batch=True)


PINNED, LATER, OTHER = "ssh-ed25519 AAAA", "ssh-rsa BBBB", "ssh-ed25519 CCCC"


def reporting(*keys: str) -> MachineView:
    found = machine("eth0 192.0.2.9/24")
    assert found.report is not None
    return replace(found, report=replace(found.report, ssh_host_keys=keys))


@pytest.mark.parametrize("keys", [(), (PINNED,), (LATER, PINNED)])
def test_a_machine_may_come_by_more_host_keys_that_count_for_nothing(
    tmp_path: Path, keys: tuple[str, ...]
) -> None:
    """As by an upgrade of openssh-server, which makes those of other kinds."""
    (tmp_path / "id_ed25519").touch()
    ssh_argv(tmp_path, reporting(*keys), USUAL, batch=True)
    assert (tmp_path / "known_hosts" / str(ME)).read_text() == f"{ME} {PINNED}\n"


@pytest.mark.parametrize("keys", [(LATER,), (OTHER,), (OTHER, LATER)])
def test_a_machine_without_the_host_key_it_is_held_to_is_not_talked_to(
    tmp_path: Path, keys: tuple[str, ...]
) -> None:
    (tmp_path / "id_ed25519").touch()
    with pytest.raises(GuestFailed, match="other ssh host keys"):
        ssh_argv(tmp_path, reporting(*keys), USUAL, batch=True)


def test_what_cannot_be_is_refused_before_anything_is_touched() -> None:
    features = FakeHost.features

    def asked(network: Network | None, bridge: str | None) -> None:
        check(
            Specification(overlay=Overlay(size=GIB), memory=GIB, cpus=1, network=network, bridge=bridge),
            features,
        )

    asked(Network.BRIDGE, "br0")
    with pytest.raises(NotFound, match="br7"):
        asked(Network.BRIDGE, "br7")
    for network, name in ((Network.BRIDGE, None), (None, "br0"), (Network.OPEN, "br0")):
        with pytest.raises(UsageError):
            asked(network, name)


@pytest.mark.parametrize(
    ("words", "network"),
    [
        ([], None),
        (["--network", "open"], Network.OPEN),
        (["--bridge", "br0"], Network.BRIDGE),
        (["--bridge", "br0", "--network", "bridge"], Network.BRIDGE),
        (["--bridge", "br0", "--network", "open"], UsageError),
        (["--network", "bridge"], UsageError),
    ],
)
def test_one_word_is_enough(words: list[str], network: Network | type[UsageError] | None) -> None:
    arguments = build_parser().parse_args(["create", "web-01", "--master", "m", *words])
    if network is UsageError:
        with pytest.raises(UsageError):
            _network(arguments, NOTHING_SAID)
    else:
        assert _network(arguments, NOTHING_SAID)[0] is network


def test_cards_have_addresses_of_their_own_that_stay() -> None:
    """A locally administered, unicast MAC from the UUID: 40 bits, so a thousand machines do not meet."""
    assert instance().mac == instance(name="other", bridge="br1").mac == "52:75:24:1b:ec:9f"
    made = [instance(uuid=uuid.UUID(int=number)) for number in range(5000)]
    assert len({one.mac for one in made}) == len(made)
    assert all(int(one.mac[:2], 16) & 3 == 2 for one in made)


def test_taps_have_names_of_their_own() -> None:
    made = [instance(uuid=uuid.uuid4()) for _ in range(1000)]
    names = {tap_name(one) for one in made}
    assert len(names) == 1000 and all(len(name) == 14 and name.startswith("sk") for name in names)


def test_what_the_kernel_is_asked_about_a_tap() -> None:
    """A struct ifreq: 16 bytes of name, then what is asked; 40 in all. The first byte of the address is high,
    or the bridge would take it for its own."""
    number = bridge._request("skin0", "i", 7)
    assert number == b"skin0".ljust(16, b"\0") + (7).to_bytes(4, sys.byteorder) + bytes(20)
    address = bytes.fromhex("fe5400123456")
    asked = bridge._hardware("skin0", "52:54:00:12:34:56")
    assert asked == b"skin0".ljust(16, b"\0") + (1).to_bytes(2, sys.byteorder) + address + bytes(16)
