"""seed.sh, network.sh and apply-seed: a fake root becomes what a seed says."""

from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.wire import Line, decode, encode, padded
from tests.guest.conftest import GUEST, INSTANCE, OTHER, Ended, Shell

PARTS = (
    "message applied host seed accounts homes place cloud network networkd ifupdown network-manager identity"
)
PASSWD = "root:x:0:0:root:/root:/bin/bash\nwww:x:33:34:www:/var/www:/bin/sh\n"
HEAD = [Line("generation", "3"), Line("instance", INSTANCE)]


@pytest.fixture
def root(shell: Shell) -> Path:
    root = shell.tmp / "root"
    for name in ("etc/systemd/network", "root", "var/www", "usr/lib/systemd", "media/root-rw/skinnybox"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text(PASSWD)
    (root / "usr/lib/systemd/systemd-networkd").touch()
    (root / "media/root-rw/skinnybox/identity").write_bytes(b"\n" * 32768)
    return root


def apply(shell: Shell, *lines: Line, stubs: tuple[str, ...] = ("chown",), before: str = "") -> Ended:
    (shell.tmp / "m").write_bytes(padded(encode("seed", 1, [*HEAD, *lines]), 16384))
    script = f"message_unpack {shell.tmp}/m seed {shell.tmp}/u\nseed_apply {shell.tmp}/u"
    return shell(PARTS, before + script, stubs=stubs)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_names(shell: Shell, root: Path) -> None:
    assert apply(shell, Line("hostname", "web-01"), Line("machine-id", "0123" * 8)).code == 0
    assert (root / "etc/hostname").read_text() == "web-01\n"
    assert (root / "etc/machine-id").read_text() == "0123" * 8 + "\n"
    assert mode(root / "etc/machine-id") == 0o444
    assert "127.0.0.1\tlocalhost\n127.0.1.1\tweb-01\n" in (root / "etc/hosts").read_text()
    assert sorted(path.name for path in (root / "etc").iterdir() if "new" in path.name) == []


def test_other_lines_of_the_hosts_file_stay(shell: Shell, root: Path) -> None:
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 old\n10.0.0.9 db\n127.0.1.1 old2\n")
    apply(shell, Line("hostname", "web-01"))
    assert (root / "etc/hosts").read_text() == "127.0.0.1 localhost\n127.0.1.1\tweb-01\n10.0.0.9 db\n"


def test_files_with_mode_and_owner(shell: Shell, root: Path) -> None:
    data = bytes(range(256))
    ended = apply(
        shell,
        Line("file", "/srv/a b/c d 0750 www:adm", data),
        Line("file", "/etc/plain 0600 root:root", b""),
    )
    assert ended.code == 0, ended.out
    assert (root / "srv/a b/c d").read_bytes() == data
    assert mode(root / "srv/a b/c d") == 0o750
    assert (root / "etc/plain").read_bytes() == b""
    assert mode(root / "etc/plain") == 0o600
    assert ended.calls == [f"chown www:adm {root}/srv/a b/c d.skinnybox-new"]


def test_a_symlink_is_replaced_and_not_followed(shell: Shell, root: Path) -> None:
    (root / "etc/link").symlink_to(root / "etc/passwd")
    apply(shell, Line("file", "/etc/link 0644 root:root", b"mine\n"))
    assert (root / "etc/link").read_text() == "mine\n"
    assert not (root / "etc/link").is_symlink()
    assert (root / "etc/passwd").read_text() == PASSWD


def test_authorized_keys_leave_the_administrators_alone(shell: Shell, root: Path) -> None:
    apply(shell, Line("authorized-keys", "root", b"ssh-ed25519 AAA one\n"))
    keys = root / "root/.ssh/authorized_keys"
    with keys.open("a") as file:
        file.write("ssh-ed25519 BBB admin\n")
    apply(shell, Line("authorized-keys", "root", b"ssh-ed25519 CCC two"))
    kept = [line for line in keys.read_text().splitlines() if line and not line.startswith("#")]
    assert kept == ["ssh-ed25519 CCC two", "ssh-ed25519 BBB admin"]
    assert (mode(keys), mode(keys.parent)) == (0o600, 0o700)


def test_the_keys_of_another_user_belong_to_that_user(shell: Shell, root: Path) -> None:
    ended = apply(shell, Line("authorized-keys", "www", b"k\n"))
    assert ended.calls == [
        f"chown 33:34 {root}/var/www/.ssh",
        f"chown 33:34 {root}/var/www/.ssh/authorized_keys.skinnybox-new",
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (Line("authorized-keys", "nobody", b"k\n"), "this master has no user nobody"),
        (Line("frobnicate", "1"), "does not know what a seed's 'frobnicate' means"),
        (Line("network", "token-ring"), "neither dhcp nor static"),
        (Line("network", "static 10.0.0.2/24 mtu 9000"), "unknown word mtu"),
        (Line("network", "static 10.0.0.2/24 gateway"), "nothing follows gateway"),
        (Line("hostname", "web 01"), "hostname: more is said than it can be: web 01"),
        (Line("hostname", ""), "hostname: nothing is said of it"),
        (Line("machine-id", "0123 4567"), "machine-id: more is said"),
        (Line("run-once", "now", b"true\n"), "run-once: more is said"),
        (Line("check", "now", b"true\n"), "check: more is said"),
        (Line("file", "/etc/motd 0644", b"x"), "not a path, a mode and an owner"),
        (Line("file", "/etc/motd rw root:root", b"x"), "not a path, a mode and an owner"),
        (Line("file", "/etc/motd", b"x"), "not a path, a mode and an owner"),
    ],
)
def test_a_seed_that_cannot_be_applied_says_why(shell: Shell, root: Path, line: Line, reason: str) -> None:
    ended = apply(shell, line)
    assert ended.code == 1
    assert reason in ended.out
    assert not list((root / "etc").glob("[hm]*")) and not (root / "var/lib/skinnybox").exists()


@pytest.mark.parametrize(
    ("network", "text"),
    [
        ("dhcp", "DHCP=yes\n"),
        ("static 10.0.0.2/24", "Address=10.0.0.2/24\n"),
        (
            "static 10.0.0.2/24 gateway 10.0.0.1 dns 10.0.0.1,1.1.1.1",
            "Address=10.0.0.2/24\nGateway=10.0.0.1\nDNS=10.0.0.1 1.1.1.1\n",
        ),
        ("static fd00::2/64 gateway fd00::1", "Address=fd00::2/64\nGateway=fd00::1\n"),
    ],
)
def test_the_network_for_networkd(shell: Shell, root: Path, network: str, text: str) -> None:
    assert apply(shell, Line("network", network)).code == 0
    written = (root / "etc/systemd/network/10-skinnybox.network").read_text()
    assert written.endswith("[Network]\n" + text)
    assert "Name=en* eth*\n" in written


def test_the_network_for_ifupdown_and_resolvers_without_resolved(shell: Shell, root: Path) -> None:
    (root / "usr/lib/systemd/systemd-networkd").unlink()
    (root / "sbin").mkdir()
    (root / "sbin/ifup").touch()
    apply(shell, Line("network", "static 10.0.0.2/24 gateway 10.0.0.1 dns 9.9.9.9,1.1.1.1"))
    assert (root / "etc/network/interfaces.d/skinnybox").read_text().splitlines()[1:] == [
        "auto /en*=skinnybox",
        "auto /eth*=skinnybox",
        "iface skinnybox inet static",
        "    address 10.0.0.2/24",
        "    gateway 10.0.0.1",
    ]
    lines = (root / "etc/resolv.conf").read_text().splitlines()
    assert lines[1:] == ["nameserver 9.9.9.9", "nameserver 1.1.1.1"]


def test_no_network_at_all(shell: Shell, root: Path) -> None:
    (root / "usr/lib/systemd/systemd-networkd").unlink()
    assert (
        "none of systemd-networkd, NetworkManager, wicked and ifupdown"
        in apply(shell, Line("network", "dhcp")).out
    )


def test_run_once_is_enabled_only_by_a_seed(shell: Shell, root: Path) -> None:
    apply(shell, Line("run-once", "", b"#!/bin/sh\nexit 3\n"))
    assert mode(root / "var/lib/skinnybox/run-once") == 0o700
    link = root / "etc/systemd/system/multi-user.target.wants/skinnybox-run-once.service"
    assert str(link.readlink()) == "/usr/lib/systemd/system/skinnybox-run-once.service"


def test_a_script_that_ran_does_not_run_again_for_a_newer_seed(shell: Shell, root: Path) -> None:
    script, ran = root / "var/lib/skinnybox/run-once", root / "var/lib/skinnybox/run-once.ran"
    ran.parent.mkdir(parents=True, exist_ok=True)
    ran.write_bytes(b"#!/bin/sh\nexit 3\n")
    apply(shell, Line("run-once", "", b"#!/bin/sh\nexit 3\n"))
    assert not script.exists()
    apply(shell, Line("run-once", "", b"#!/bin/sh\nexit 4\n"))
    assert script.read_bytes() == b"#!/bin/sh\nexit 4\n"


def test_a_check_is_put_there_and_goes_with_the_next_seed_that_says_none(shell: Shell, root: Path) -> None:
    check = root / "var/lib/skinnybox/check"
    apply(shell, Line("check", "", b"curl -fs localhost"))
    assert check.read_bytes() == b"curl -fs localhost" and mode(check) == 0o700
    apply(shell, Line("hostname", "web-01"))
    assert not check.exists()


def whole(shell: Shell, generation: str = "3", instance: str = INSTANCE) -> None:
    """The real apply-seed, as the initramfs runs it."""
    lines = [Line("generation", generation), Line("instance", instance), Line("hostname", "web-01")]
    (shell.tmp / "m").write_bytes(encode("seed", 1, lines))
    shell("message", f"message_unpack {shell.tmp}/m seed {shell.tmp}/u")
    run.run([*shell.argv, GUEST / "bin/apply-seed", shell.tmp / "u"], env=shell.environment(), timeout=30)


def host_key(root: Path) -> bytes:
    return (root / "etc/ssh/ssh_host_ed25519_key").read_bytes()


def identity(root: Path) -> Path:
    return root / "media/root-rw/skinnybox/identity"


def test_the_whole_seed_leaves_its_generation_and_an_identity(shell: Shell, root: Path) -> None:
    whole(shell)
    assert (root / "var/lib/skinnybox/seed-applied").read_text() == f"3 {INSTANCE}\n"
    data = identity(root).read_bytes()
    assert len(data) == 32768
    message = decode(data, "identity")
    assert message.get("instance") == INSTANCE
    private, public = message.all("ssh-host-key")
    assert private.payload == host_key(root)
    assert public.payload == (root / "etc/ssh/ssh_host_ed25519_key.pub").read_bytes()
    assert mode(root / "etc/ssh/ssh_host_ed25519_key") == 0o600
    assert not list((shell.tmp / "run").glob("*key*"))


def test_a_reset_keeps_the_identity(shell: Shell, root: Path) -> None:
    whole(shell)
    before, blob = host_key(root), identity(root).read_bytes()
    for path in (root / "etc/ssh").iterdir():
        path.unlink()
    (root / "var/lib/skinnybox/seed-applied").unlink()
    whole(shell)
    assert host_key(root) == before
    assert identity(root).read_bytes() == blob


def test_the_identity_of_another_machine_is_not_taken(shell: Shell, root: Path) -> None:
    whole(shell)
    before = host_key(root)
    upper = root / "media/root-rw/upper/etc/ssh"
    upper.mkdir(parents=True)
    (upper / "ssh_host_ed25519_key").write_bytes(before)
    whole(shell, instance=OTHER)
    assert host_key(root) != before
    assert decode(identity(root).read_bytes(), "identity").get("instance") == OTHER


def test_host_keys_that_came_with_the_master_go(shell: Shell, root: Path) -> None:
    (root / "etc/ssh/ssh_host_rsa_key").write_text("shared by every machine of this master")
    (root / "etc/ssh/ssh_host_ed25519_key").write_text("this one as well")
    whole(shell)
    assert not (root / "etc/ssh/ssh_host_rsa_key").exists()
    assert host_key(root).startswith(b"-----BEGIN OPENSSH PRIVATE KEY-----")


def test_a_key_an_administrator_made_survives_another_seed(shell: Shell, root: Path) -> None:
    whole(shell)
    upper = root / "media/root-rw/upper/etc/ssh"
    upper.mkdir(parents=True)
    for name in ("ssh_host_ed25519_key", "ssh_host_rsa_key"):
        (root / "etc/ssh" / name).write_text("the administrator's")
        (upper / name).write_text("the administrator's")
    whole(shell, generation="4")
    assert host_key(root) == b"the administrator's"
    assert (root / "etc/ssh/ssh_host_rsa_key").exists()


def test_further_keys_of_an_administrator_are_no_part_of_the_identity(shell: Shell, root: Path) -> None:
    """A reseed leaves them alone, what came with the master goes, and a copy of the disk keeps none."""
    whole(shell)
    ours, upper = host_key(root), root / "media/root-rw/upper/etc/ssh"
    upper.mkdir(parents=True)
    for name in ("ssh_host_ecdsa_key", "ssh_host_ecdsa_key.pub"):
        (root / "etc/ssh" / name).write_text("the administrator's")
        (upper / name).write_text("the administrator's")
    (root / "etc/ssh/ssh_host_dsa_key").write_text("the master's")
    whole(shell, generation="4")
    assert sorted(path.name for path in (root / "etc/ssh").iterdir() if "ecdsa" in path.name) == [
        "ssh_host_ecdsa_key",
        "ssh_host_ecdsa_key.pub",
    ]
    assert not (root / "etc/ssh/ssh_host_dsa_key").exists()
    assert host_key(root) == ours
    whole(shell, generation="5", instance=OTHER)
    assert not list((root / "etc/ssh").glob("*ecdsa*"))
    assert host_key(root) != ours


@pytest.mark.parametrize(
    ("network", "lines"),
    [
        ("dhcp", ["iface skinnybox inet dhcp"]),
        (
            "static fd00::2/64 gateway fd00::1 dns fd00::3",
            ["iface skinnybox inet6 static", "    address fd00::2/64", "    gateway fd00::1"],
        ),
        ("static 10.0.0.2/24", ["iface skinnybox inet static", "    address 10.0.0.2/24"]),
    ],
)
def test_every_network_for_ifupdown(shell: Shell, root: Path, network: str, lines: list[str]) -> None:
    (root / "usr/lib/systemd/systemd-networkd").unlink()
    (root / "usr/sbin").mkdir()
    (root / "usr/sbin/ifup").touch()
    assert apply(shell, Line("network", network)).code == 0
    written = (root / "etc/network/interfaces.d/skinnybox").read_text().splitlines()
    assert written[1:] == ["auto /en*=skinnybox", "auto /eth*=skinnybox", *lines]
    assert (root / "etc/resolv.conf").exists() == ("dns" in network)


def test_systemd_resolved_keeps_its_own_resolvers(shell: Shell, root: Path) -> None:
    (root / "usr/lib/systemd/systemd-resolved").touch()
    assert apply(shell, Line("network", "static 10.0.0.2/24 dns 9.9.9.9")).code == 0
    assert not (root / "etc/resolv.conf").exists()
