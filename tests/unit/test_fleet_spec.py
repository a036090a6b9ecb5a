"""Fleet files, read: what they mean, and what they mean by saying nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from skinnybox.errors import NotFound, UsageError
from skinnybox.fleet.plan.actions import Target
from skinnybox.fleet.plan.values import Replay
from skinnybox.fleet.spec import addresses, networks
from skinnybox.fleet.spec.marked import Place, read
from skinnybox.fleet.spec.reading import Description, load, parse
from skinnybox.fleet.spec.shape import schema
from skinnybox.model import Allocation, Network, StaticNetwork
from skinnybox.sizes import GIB, MIB
from tests.samples import PUBLIC_KEY

ROOT = Path(__file__).parents[2]


def described(text: str, folder: Path = Path("/nowhere")) -> Description:
    return parse(text.encode(), folder / "fleet.yaml")


HEAD = "version: 1\nfleet: w\nmachines:\n"


def test_what_is_not_said_has_its_default() -> None:
    (found,) = described(HEAD + "  a: {master: lamp}\n").machines
    of = found.specification
    assert (found.name, found.master, found.state) == ("a", "lamp", Target.UNMANAGED)
    assert (of.overlay.size, of.overlay.allocation, of.memory, of.cpus) == (
        GIB,
        Allocation.RESERVED,
        512 * MIB,
        1,
    )
    assert (of.ssh_user, of.network, of.dax, of.autostart, of.fleet) == ("root", None, None, False, "w")
    assert found.place == Place(line=4, column=15)


def test_a_group_wins_over_defaults_also_with_null(tmp_path: Path) -> None:
    (tmp_path / "keys.pub").write_text(f"# ours\n{PUBLIC_KEY}\n\n{PUBLIC_KEY.replace('me@', 'you@')}\n")
    found = described(
        "version: 1\nfleet: w\n"
        "defaults:\n  master: lamp\n  memory: 2G\n  run_once: reboot\n  bridge: br0\n"
        "  ssh_keys: [{file: keys.pub}]\n  gateway: 10.0.0.1\n  state: running\n"
        "machines:\n  a:\n  b: {memory: 1.5G, run_once: null, network: open, ssh_keys: []}\n"
        "  c: {address: 10.0.0.9/24, gateway: null, state: stopped, master: 'mail:1'}\n",
        tmp_path,
    )
    a, b, c = found.machines
    assert (a.specification.network, a.specification.bridge) == (Network.BRIDGE, "br0")
    assert len(a.specification.authorized_keys) == 2
    assert (a.specification.run_once, b.specification.run_once) == ("reboot", None)
    assert (b.specification.network, b.specification.bridge) == (Network.OPEN, None)
    assert (b.specification.memory, b.specification.authorized_keys) == (1536 * MIB, ())
    assert c.specification.static_network == StaticNetwork(address="10.0.0.9/24")
    assert [machine.state for machine in found.machines] == ["running", "running", "stopped"]
    assert [machine.master for machine in found.machines] == ["lamp", "lamp", "mail:1"]


def test_texts_stay_texts() -> None:
    text = "a: {d: 2026-11-22, t: 12:30:45, h: 0x1F, u: 1_000, o: 0o17, f: 1.5, n: null, y: on, i: -2, m: 06}"
    assert read(text.encode()).data["a"] == {
        "d": "2026-11-22", "t": "12:30:45", "h": "0x1F", "u": "1_000", "o": "0o17", "f": "1.5",
        "n": None, "y": True, "i": -2, "m": 6,
    }  # fmt: skip


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such fleet file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(NotFound):
        load(tmp_path)


@pytest.mark.parametrize(
    ("first", "count", "wanted"),
    [
        ("10.0.0.254/23", 3, ["10.0.0.254/23", "10.0.0.255/23", "10.0.1.0/23"]),
        ("10.0.0.0/31", 2, ["10.0.0.0/31", "10.0.0.1/31"]),
        ("fd00::fffe/64", 3, ["fd00::fffe/64", "fd00::ffff/64", "fd00::1:0/64"]),
    ],
)
def test_addresses_are_counted_up(first: str, count: int, wanted: list[str]) -> None:
    assert addresses.counted(first, count) == wanted


def test_addresses_never_reach_the_broadcast() -> None:
    assert addresses.counted("10.0.0.1/30", 2)
    with pytest.raises(UsageError, match="no room"):
        addresses.counted("10.0.0.1/30", 3)


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("10.0.0.{11..13}/24", ["10.0.0.11/24", "10.0.0.12/24", "10.0.0.13/24"]),
        ("10.0.{1,2,7}.5/24", ["10.0.1.5/24", "10.0.2.5/24", "10.0.7.5/24"]),
        ("fd00::{a,b,10}/64", ["fd00::a/64", "fd00::b/64", "fd00::10/64"]),
        ("10.0.0.5/24", ["10.0.0.5/24", "10.0.0.6/24", "10.0.0.7/24"]),
    ],
)
def test_a_pattern_makes_an_address_for_each(pattern: str, wanted: list[str]) -> None:
    assert addresses.of_each(pattern, 3) == wanted


@pytest.mark.parametrize(
    ("pattern", "count", "gateway", "said"),
    [
        ("10.0.0.{11..50}/24", 3, None, "40 addresses for 3 machines"),
        ("10.0.0.{1,1}/24", 2, None, "10.0.0.1 is given twice"),
        ("fd00::{1,0:1}/64", 2, None, "fd00::1 is given twice"),
        ("10.0.0.{256,254}/24", 2, None, "'10.0.0.256/24' is not ADDRESS/PREFIX"),
        ("10.0.0.{254..255}/24", 2, None, "10.0.0.255 is the broadcast address of 10.0.0.0/24"),
        ("10.0.0.{0..1}/24", 2, None, "10.0.0.0 is the address of the network 10.0.0.0/24 itself"),
        ("10.0.0.0/24", 1, None, "10.0.0.0 is the address of the network 10.0.0.0/24 itself"),
        ("fd00::/64", 1, None, "fd00:: is the address of the network fd00::/64 itself"),
        ("10.0.0.{x}/24", 1, None, "is neither a range nor a list"),
        ("fe80::5%eth0/64", 1, None, "'fe80::5%eth0/64' is not ADDRESS/PREFIX"),
        ("fd00::5/64", 1, "fe80::1%eth0", "'fe80::1%eth0' is not an address"),
        ("10.0.0.5{,/24", 1, None, "is not ADDRESS/PREFIX"),
        ("127.0.0.1/8", 1, None, "127.0.0.1 is no address that a machine can have"),
        ("224.0.0.1/24", 1, None, "224.0.0.1 is no address that a machine can have"),
        ("10.0.0.{4..5}/24", 2, "10.0.0.5", "machine 2 of 2 would get the gateway's, 10.0.0.5"),
        ("10.0.{0,1}.5/24", 2, "10.0.0.1", "gateway 10.0.0.1 is not in 10.0.1.0/24"),
        ("10.0.0.5/32", 1, "10.0.0.1", "gateway 10.0.0.1 is not in 10.0.0.5/32"),
        ("10.0.0.5/24", 2, "fe80::1", "gateway fe80::1 is of another family"),
        ("fd00::1:0:5/96", 1, "fd00::1", "gateway fd00::1 is not in"),
    ],
)
def test_addresses_that_no_machine_could_use(
    pattern: str, count: int, gateway: str | None, said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        networks.of_each(networks.static([pattern], [gateway] if gateway else []), count)
    assert said in refused.value.message


@pytest.mark.parametrize(
    ("address", "gateway"),
    [("10.0.0.0/31", "10.0.0.1"), ("fd00::5/64", "fe80::1"), ("fd00::/127", None), ("10.0.0.5/32", None)],
)
def test_addresses_that_look_odd_and_are_not(address: str, gateway: str | None) -> None:
    static = StaticNetwork(address=address, gateway=gateway)
    assert networks.of_each(static, 1) == [static]


def test_what_comes_again_on_another_release() -> None:
    found = described(
        "version: 1\nfleet: w\ndefaults: {master: lamp, replay: true}\nmachines:\n  a:\n"
        "  b: {replay: false}\n"
        "  c: {replay: {without: [nano, memcached.service], instead: {php7.4: php8.2}, after: [a2enmod x]}}\n"
        "  d: {replay: {}}\n  e: {replay: null}\n"
    )
    otherwise = Replay(
        without=("nano", "memcached.service"), instead=(("php7.4", "php8.2"),), after=("a2enmod x",)
    )
    assert [machine.replay for machine in found.machines] == [Replay(), None, otherwise, Replay(), None]


def test_the_published_schema_and_reference_are_what_the_code_says() -> None:
    done = subprocess.run([sys.executable, ROOT / "script/fleet-reference", "--check"], check=False)
    assert done.returncode == 0
    assert json.loads((ROOT / "docs/reference/fleet.schema.json").read_text()) == schema()
