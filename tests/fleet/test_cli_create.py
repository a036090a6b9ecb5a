"""Every option of `create` arrives at the machine: one that is read and then lost only its user sees."""

import json
from pathlib import Path

import pytest

from skinnybox.errors import UsageError
from skinnybox.fleet import settings
from skinnybox.fleet.service import Fleet
from skinnybox.hosts.local.store import Store
from skinnybox.masters.catalogue import INDEX
from skinnybox.masters.index import Entry, write_index
from skinnybox.model import Allocation, Network, Nic, SeedFile, SeedUser, StaticNetwork
from skinnybox.sizes import MIB
from tests.fleet.conftest import said
from tests.samples import PUBLIC_KEY, an_instance


def test_every_option_of_create(
    fleet: Fleet, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("key.pub", PUBLIC_KEY), ("site", "widgets\n"), ("once", "#!/bin/sh\nexit 0\n")):
        (tmp_path / name).write_text(text)
    (tmp_path / "cloud").write_bytes(b"\x1f\x8b")
    entry = Entry(path=b"usr/bin/cloud-init", type="-", mode=0o755, uid=0, gid=0, mtime_ns=0)
    index = fleet.masters.folder(fleet.masters.find("tiny")) / INDEX
    index.unlink(missing_ok=True)
    write_index([entry], index)
    ended = said(
        capsys, "--state", str(state), "--host", "memory", "create", "-q", "web", "-m", "tiny",
        "--overlay", "48M", "--sparse", "--memory", "300M", "--cpus", "3", "--network", "open",
        "--address", "192.0.2.17/24", "--gateway", "192.0.2.1", "--dns", "192.0.2.2", "--dns", "192.0.2.3",
        "--user", "debian", "--ssh-key", str(tmp_path / "key.pub"), "--run-once", str(tmp_path / "once"),
        "--file", f"{tmp_path / 'site'}:/etc/site:0640:root:daemon", "--autostart",
        "--add-user", "deploy:adm,www-data", "--add-user", "anna", "--sudo", "--timezone", "Europe/Berlin",
        "--user-data", str(tmp_path / "cloud"),
        "--locale", "de_DE.UTF-8", "--ntp", "ntp.example", "--ntp", "192.0.2.9",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    made = fleet.machine("web").instance
    assert made.seed.users == (
        SeedUser(name="deploy", groups=("adm", "www-data"), sudo=True), SeedUser(name="anna", sudo=True)
    )  # fmt: skip
    assert (made.seed.timezone, made.seed.locale) == ("Europe/Berlin", "de_DE.UTF-8")
    assert made.seed.user_data == b"\x1f\x8b"
    assert made.seed.ntp == ("ntp.example", "192.0.2.9")
    assert (made.overlay.size, made.overlay.allocation) == (48 * MIB, Allocation.SPARSE)
    assert (made.memory, made.cpus, made.network, made.autostart) == (300 * MIB, 3, Network.OPEN, True)
    assert made.seed.network == StaticNetwork(
        address="192.0.2.17/24", gateway="192.0.2.1", dns=("192.0.2.2", "192.0.2.3")
    )
    assert made.seed.run_once == "#!/bin/sh\nexit 0\n" and made.ssh_user == "debian"
    assert (
        SeedFile(path="/etc/site", content=b"widgets\n", mode=0o640, owner="root:daemon") in made.seed.files
    )
    assert PUBLIC_KEY in made.seed.authorized_keys


def test_a_pattern_of_addresses(fleet: Fleet, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--state", str(state), "--host", "memory", "create", "web-{01..03}", "-m", "tiny", "--sparse",
             "--overlay", "64M", "--address")  # fmt: skip
    assert said(capsys, *words, "10.0.0.{11..13}/24", "--dry-run").out.splitlines() == [
        "web-01 10.0.0.11/24", "web-02 10.0.0.12/24", "web-03 10.0.0.13/24"
    ]  # fmt: skip
    for odd in ("10.0.0.{11..14}/24", "10.0.0.{253..255}/24"):
        for more in ((), ("--dry-run",)):
            assert said(capsys, *words, odd, *more).code == 2
    nic = ("--nic", "bridge=br0,address=10.1.0.{5..6}/24")
    for more in ((), ("--dry-run",)):
        assert "2 addresses for 3 machines" in said(capsys, *words, "10.0.0.5/24", *nic, *more).err
    assert fleet.names() == []
    assert said(capsys, *words, "10.0.{1,2,9}.1/24").code == 0
    networks = [machine.instance.seed.network for machine in fleet.machines()]
    assert [network and network.address for network in networks] == [
        "10.0.1.1/24", "10.0.2.1/24", "10.0.9.1/24"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("overlay_warning", ("1", "9", "99", "100"), ("0", "101", "100x", "", "-1", True)),
        ("parallel", ("1", "99999"), ("0", "100000", "x", "", True)),
    ],
)
def test_numbers_of_settings(key: str, good: tuple[str, ...], bad: tuple[object, ...]) -> None:
    for value in good:
        assert settings._typed("there", key, value) == int(value)
    for wrong in bad:
        with pytest.raises(UsageError, match=f"there: {key} is a"):
            settings._typed("there", key, wrong)


def test_what_a_killed_command_left_goes_with_its_machine(tmp_path: Path) -> None:
    store, instance = Store(tmp_path), an_instance()
    store.define(instance)
    folder = store.folder(instance.uuid)
    (folder / "snapshots").mkdir()
    for name in ("overlay.img", ".0123.new", ".instance.json.1.new", "snapshots/first"):
        (folder / name).write_bytes(b"x")
    (folder / ".settle-1").mkdir()
    store.delete(instance)
    assert not folder.exists()
    store.delete(instance)
    store.define(instance)
    (folder / "not ours").touch()
    store.delete(instance)
    assert [path.name for path in folder.iterdir()] == ["not ours"]


def test_cards_and_both_families(fleet: Fleet, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--state", str(state), "--host", "memory", "create", "web-{1..2}", "-m", "tiny", "--sparse",
             "--overlay", "64M", "--bridge", "br0", "--address", "10.0.0.5/24", "--address", "fd00::5/64",
             "--gateway", "fe80::1", "--gateway", "10.0.0.1",
             "--nic", "bridge=br0,address=10.1.0.{7,9}/24,vlan=5",
             "--nic", "restricted,manual")  # fmt: skip
    ended = said(capsys, *words)
    assert ended.code == 0, ended.err
    made = fleet.machine("web-2").instance
    assert made.seed.network == StaticNetwork(
        address="10.0.0.6/24", also=("fd00::6/64",), gateway="10.0.0.1", other_gateway="fe80::1"
    )
    tagged = Nic(bridge="br0", network=StaticNetwork(address="10.1.0.9/24"), vlan=5)
    assert made.seed.nics == (tagged, Nic(manual=True))
    read = said(capsys, *words[:4], "show", "web-2", "--format", "json")
    [shown] = json.loads(read.out)
    assert shown["macs"] == [made.mac, made.mac_of(1), made.mac_of(2)] and shown["mac"] == made.mac
