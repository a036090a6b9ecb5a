"""What is expected of a seed is what the guest's own scripts write, byte for byte: they run here, what they
wrote is put on a disk, and the reader of `changes` is to find nothing but the seed's on it."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from uuid import UUID

import pytest

from skinnybox import run
from skinnybox.delta.seed_marks import expected, hostname_of
from skinnybox.delta.upper_disk import differences
from skinnybox.ext4 import open_volume
from skinnybox.masters.index import Entry, scan
from skinnybox.model import Instance, Nic, SeedFile, SeedUser, StaticNetwork
from skinnybox.operation import Operation
from skinnybox.overlays.seed import seed_message
from tests.guest.conftest import GUEST, INSTANCE, Shell
from tests.samples import PUBLIC_KEY, an_instance

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="what a guest's root writes is root's")

SCRIPT = "#!/bin/sh\necho täglich\n"
STATIC = StaticNetwork(address="192.0.2.2/24", gateway="192.0.2.1", dns=("192.0.2.3", "192.0.2.4"))
FILES = (
    SeedFile(path="/srv/a b/c", content=bytes(range(256)), mode=0o4750, owner="33:34"),
    SeedFile(path="/opt/empty", content=b"", owner="nobody:nogroup"),
    SeedFile(path="/etc/link", content=b"no link any more\n", mode=0o600),
)
KEYS = (PUBLIC_KEY, f"restrict {PUBLIC_KEY} another")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """A root folder, as the index has it, and what the scripts make of it."""

    shell: Shell
    stack: tuple[Entry, ...]

    @property
    def root(self) -> Path:
        return self.shell.tmp / "root"

    def apply(self, instance: Instance) -> None:
        (self.shell.tmp / "m").write_bytes(seed_message(instance))
        self.shell("message", f"message_unpack {self.shell.tmp}/m seed {self.shell.tmp}/u")
        self.program(self.shell.tmp / "u")

    def program(self, *words: str | Path) -> None:
        run.run(
            [*self.shell.argv, GUEST / "bin/apply-seed", *words], env=self.shell.environment(), timeout=30
        )

    def host_keys(self) -> tuple[str, ...]:
        return (" ".join((self.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2]),)

    def told(self, instance: Instance, host_keys: Iterable[str] | None = None) -> dict[str, bool | None]:
        """By path, what is said of each change; what is not of the guest's own making left out."""
        tree, disk = self.shell.tmp / "tree", self.shell.tmp / "disk"
        run.run(["rm", "-rf", tree, disk])
        tree.mkdir()
        run.run(["cp", "-a", self.root, tree / "upper"])
        run.run(["mke2fs", "-q", "-t", "ext4", "-d", tree, disk, "16M"])
        wanted = expected(instance, tuple(self.host_keys() if host_keys is None else host_keys))
        with open_volume(disk) as volume:
            found = list(differences(volume, self.stack, quick=False, expected=wanted))
        return {
            os.fsdecode(change.path): said
            for change, said in found
            if not change.path.startswith(b"media") and change.kind != "metadata"
        }


MANAGERS = {
    "networkd": (),
    "ifupdown": ("sbin/ifup",),
    "Alpine's ifup": ("etc/alpine-release", "sbin/ifup"),
    "wicked": ("usr/sbin/wicked",),
    "NetworkManager": ("etc/systemd/system/multi-user.target.wants/NetworkManager.service",),
}
"""By what a guest brings its network up, and what it is known by."""


@pytest.fixture
def guest(shell: Shell) -> Guest:
    root = shell.tmp / "root"
    for name in (
        "etc/systemd/network",
        "root",
        "usr/lib/systemd",
        "media/root-rw/skinnybox",
        "var/lib",
        "home",
    ):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "home/admin").mkdir()
    os.chown(root / "home/admin", 1000, 1000)
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/bash\nadmin:x:1000:1000::/home/admin:/bin/sh\n"
    )
    (root / "etc/machine-id").touch()
    (root / "etc/link").symlink_to("passwd")
    (root / "usr/lib/systemd/systemd-networkd").touch()
    (root / "media/root-rw/skinnybox/identity").write_bytes(b"\n" * 32768)
    return stacked(shell)


def stacked(shell: Shell) -> Guest:
    """Nothing was done to it yet."""
    return Guest(shell=shell, stack=tuple(scan(shell.tmp / "root", Operation())))


def instance(**fields: object) -> Instance:
    usual = replace(an_instance(), uuid=UUID(INSTANCE))
    seed = {name: fields.pop(name) for name in tuple(fields) if name not in ("name", "ssh_user")}
    return replace(usual, seed=replace(usual.seed, **seed), **fields)  # type: ignore[arg-type]


MACHINES = {
    "dhcp": instance(),
    "static": instance(network=STATIC),
    "inet6": instance(network=StaticNetwork(address="fd00::2/64", gateway="fd00::1")),
    "nothing-but-an-address": instance(network=StaticNetwork(address="192.0.2.2/24")),
    "keys-and-script": instance(authorized_keys=KEYS, run_once=SCRIPT, generation=12),
    "another-user": instance(authorized_keys=KEYS, ssh_user="admin"),
    "own-check": replace(instance(), check="curl -fs localhost\ntest -e /ü"),
    "files": instance(files=FILES, network=STATIC),
    "its-own-hosts": instance(files=(SeedFile(path="/etc/hosts", content=b"::1 me"),)),
}
HOSTS = (None, b"", b"127.0.0.1 localhost\n", b"127.0.0.1 localhost", b"\n\n")


def _every_pair() -> Iterator[object]:
    """Of a machine, a manager and a master's hosts: in the core each two meet once, by a Latin square; all
    three of each are for the long tier."""
    for (row, name), (column, manager) in product(enumerate(MACHINES), enumerate(MANAGERS)):
        for number, hosts in enumerate(HOSTS):
            marks = () if (row + column) % len(HOSTS) == number else pytest.mark.full
            yield pytest.param(MACHINES[name], manager, hosts, id=f"{hosts!r}-{manager}-{name}", marks=marks)


@pytest.mark.parametrize(("machine", "manager", "hosts"), list(_every_pair()))
def test_nothing_but_the_seeds_is_on_a_fresh_machine(
    shell: Shell, guest: Guest, machine: Instance, manager: str, hosts: bytes | None
) -> None:
    root = guest.root
    if manager != "networkd":
        (root / "usr/lib/systemd/systemd-networkd").unlink()
    for path in MANAGERS[manager]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to("/nowhere") if path.endswith(".service") else (root / path).touch()
    if hosts is not None:
        (root / "etc/hosts").write_bytes(hosts)
    guest = stacked(shell)
    guest.apply(machine)
    told = guest.told(machine)
    assert set(told.values()) == {True}, told
    for path in ("etc/hosts", "etc/hostname", "etc/machine-id", "etc/ssh/ssh_host_ed25519_key"):
        assert told[path], path
    for file in machine.seed.files:
        assert told[file.path.strip("/")], file.path


BOTH = StaticNetwork(
    address="192.0.2.2/24", gateway="192.0.2.1", dns=("192.0.2.3", "2001:db8::3"),
    also=("2001:db8::2/64", "192.0.2.8/24", "2001:db8::9/64"), other_gateway="fe80::1",
)  # fmt: skip
NICS = (
    Nic(bridge="br1", network=StaticNetwork(address="198.51.100.5/24", also=("fd00::5/64",)), vlan=100),
    Nic(network=StaticNetwork(address="fd01::5/64", gateway="fd01::1")),
    Nic(vlan=4094),
    Nic(manual=True),
    Nic(manual=True, vlan=7),
    Nic(),
)


@pytest.mark.parametrize("machine", [
    pytest.param(instance(network=BOTH), id="both-families"),
    pytest.param(instance(network=StaticNetwork(address="fd00::2/64", also=("192.0.2.2/24",))), id="6-first"),
    pytest.param(instance(nics=NICS), id="cards"),
    pytest.param(instance(network=BOTH, nics=NICS[:1]), id="both-and-a-card"),
])  # fmt: skip
@pytest.mark.parametrize("manager", [*MANAGERS, "netplan"])
def test_nothing_but_the_seeds_with_several_addresses_and_cards(
    shell: Shell, guest: Guest, machine: Instance, manager: str
) -> None:
    if manager == "netplan":
        (guest.root / "etc/netplan").mkdir()
        guest = stacked(shell)
    test_nothing_but_the_seeds_is_on_a_fresh_machine(
        shell, guest, machine, "networkd" if manager == "netplan" else manager, None
    )


@pytest.mark.parametrize("keeper", ["usr/lib/systemd/systemd-timesyncd", "usr/sbin/chronyd"])
def test_where_it_stands_and_who_is_there(shell: Shell, guest: Guest, keeper: str) -> None:
    root = guest.root
    texts = {
        keeper: "",
        "etc/chrony/chrony.conf": "sourcedir /etc/chrony/sources.d\n",
        "usr/share/zoneinfo/Europe/Berlin": "",
        "etc/timezone": "Etc/UTC\n",
        "usr/bin/sudo": "",
        "etc/sudoers": "@includedir /etc/sudoers.d\n",
    }
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    guest = stacked(shell)
    machine = instance(
        users=(SeedUser(name="admin", sudo=True, authorized_keys=KEYS),),
        timezone="Europe/Berlin",
        locale="C.UTF-8",
        ntp=("ntp.example", "fd00::1"),
    )
    guest.apply(machine)
    told = guest.told(machine)
    assert {path: said for path, said in told.items() if said is not True} == {}
    assert {"etc/localtime", "etc/timezone", "etc/locale.conf", "etc/sudoers.d/skinnybox"} <= told.keys()
    assert "home/admin/.ssh/authorized_keys" in told


def test_a_cloud_init(shell: Shell, guest: Guest) -> None:
    """Its instance is that of the generation which brought the user-data."""
    for path in ("usr/bin/cloud-init", "etc/cloud/ds-identify.cfg"):
        (guest.root / path).parent.mkdir(parents=True, exist_ok=True)
        (guest.root / path).touch()
    guest = stacked(shell)
    off = instance()
    guest.apply(off)
    told = guest.told(off)
    assert set(told.values()) == {True} and "etc/cloud/cloud-init.disabled" in told
    for generation in (2, 3):
        machine = instance(user_data=b"#cloud-config\n\xff", generation=generation)
        guest.apply(machine)
        told = guest.told(machine)
        assert {path: said for path, said in told.items() if said is not True} == {}
        assert "var/lib/cloud/seed/nocloud/meta-data" in told


def test_a_name_that_is_followed(guest: Guest) -> None:
    for content in (b"", b"127.0.0.1 x\n127.0.1.1 a\n10.0.0.1 b\n127.0.1.1\n 127.0.1.1 indented\n"):
        files = (SeedFile(path="/etc/hosts", content=content),) if content else ()
        machine = instance(follows_name=True, name="Web.Shop 2", files=files)
        guest.apply(machine)
        assert set(guest.told(machine).values()) == {True}
        guest.program("--hostname", "web-shop-2")
        assert set(guest.told(machine).values()) == {True}
        guest.program("--hostname", "another")
        told = guest.told(machine)
        assert [path for path in told if not told[path]] == ["etc/hostname", "etc/hosts"]


@pytest.mark.parametrize(
    "name", ["web-01", "Web_01.Shop ", "-a-", "--", "ö", "x" * 80, "a" * 62 + "-b", "A$b"]
)
def test_what_a_name_is_as_a_hostname(shell: Shell, name: str) -> None:
    (shell.tmp / "name").write_text(name)
    said = shell("message boot", f'hostname_of "$(cat {shell.tmp}/name)" || :')
    assert said.out.strip() == hostname_of(name)


def test_the_masters_own_keys(shell: Shell, guest: Guest) -> None:
    """They stay below ours. That its own host keys go is the guest part's work."""
    folder = guest.root / "root/.ssh"
    folder.mkdir(mode=0o700)
    (folder / "authorized_keys").write_text("ssh-ed25519 AAAA the master's\n")
    guest = stacked(shell)
    machine = instance(authorized_keys=KEYS)
    guest.apply(machine)
    told = guest.told(machine)
    assert told["root/.ssh/authorized_keys"] and set(told.values()) == {True}


def test_a_script_that_ran(guest: Guest) -> None:
    machine = instance(run_once=SCRIPT)
    guest.apply(machine)
    (guest.root / "etc/systemd/system/multi-user.target.wants/skinnybox-run-once.service").unlink()
    (guest.root / "var/lib/skinnybox/run-once").rename(guest.root / "var/lib/skinnybox/run-once.ran")
    assert set(guest.told(machine).values()) == {True}


def append(path: str, text: str) -> Callable[[Path], None]:
    def act(root: Path) -> None:
        with (root / path).open("a") as file:
            file.write(text)

    return act


def key(root: Path) -> None:
    """Another host key, whole and well-formed."""
    file = root / "etc/ssh/ssh_host_ed25519_key"
    run.run(["rm", "-f", file, f"{file}.pub"])
    run.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"skinnybox {INSTANCE}", "-f", file])


def held_elsewhere(root: Path) -> None:
    run.run(["setfattr", "-n", "user.x", "-v", "y", root / "etc/hostname"])


KEYS_FILE = "root/.ssh/authorized_keys"
BOTH_KEYS = ["etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_ed25519_key.pub"]


@pytest.mark.parametrize(
    ("act", "listed", "said"),
    [
        pytest.param(append(KEYS_FILE, "ssh-ed25519 AAAA me\n"), [KEYS_FILE], False, id="a key appended"),
        pytest.param(lambda root: (root / KEYS_FILE).write_text("k\n"), [KEYS_FILE], False, id="keys"),
        pytest.param(lambda root: (root / KEYS_FILE).chmod(0o666), [KEYS_FILE], False, id="a mode"),
        pytest.param(lambda root: os.chown(root / KEYS_FILE, 7, 0), [KEYS_FILE], False, id="an owner"),
        pytest.param(held_elsewhere, ["etc/hostname"], False, id="an attribute"),
        pytest.param(key, BOTH_KEYS, False, id="a host key"),
        pytest.param(append(BOTH_KEYS[0], "x"), BOTH_KEYS[:1], False, id="more in a host key"),
        pytest.param(append("etc/ssh/ssh_host_foo", "x"), ["etc/ssh/ssh_host_foo"], None, id="a further one"),
        pytest.param(append("etc/hosts", "192.0.2.9 deb.debian.org\n"), ["etc/hosts"], False, id="hosts"),
        pytest.param(append("etc/machine-id", "x"), ["etc/machine-id"], False, id="machine-id"),
        pytest.param(
            append("var/lib/skinnybox/x", "x"), ["var/lib/skinnybox/x"], None, id="a file among ours"
        ),
        pytest.param(append("root/.ssh/config", "x"), ["root/.ssh/config"], None, id="beside the keys"),
        pytest.param(lambda root: (root / "root/.ssh").chmod(0o777), ["root/.ssh"], None, id="a folder"),
        pytest.param(append("opt/empty", "x"), ["opt/empty"], False, id="a file of the seed"),
        pytest.param(lambda root: os.chown(root / "opt/empty", 0, 0), ["opt/empty"], False, id="to root"),
    ],
)
def test_what_an_intruder_writes_is_listed(
    guest: Guest, act: Callable[[Path], object], listed: list[str], said: bool | None
) -> None:
    machine = instance(authorized_keys=KEYS, files=FILES)
    guest.apply(machine)
    pinned = guest.host_keys()
    act(guest.root)
    told = guest.told(machine, pinned)
    assert {path: told[path] for path in told if told[path] is not True} == dict.fromkeys(listed, said)


def test_without_a_pinned_key_a_host_key_is_listed(guest: Guest) -> None:
    machine = instance()
    guest.apply(machine)
    told = guest.told(machine, ())
    assert [path for path in told if told[path] is False] == BOTH_KEYS
