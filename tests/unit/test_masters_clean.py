import os
from pathlib import Path

import pytest

from skinnybox.errors import Unsupported
from skinnybox.masters.catalogue import delete
from skinnybox.masters.clean import clean
from skinnybox.masters.index import Entry, scan
from skinnybox.operation import Operation
from tests.samples import nested

LEFTOVERS = [
    "etc/passwd-", "etc/ssh/ssh_host_ed25519_key", "etc/ssh/ssh_host_rsa_key.pub",
    "var/lib/dhcp/dhclient.leases", "var/lib/systemd/random-seed", "var/lib/apt/lists/partial/x",
    "var/cache/apt/pkgcache.bin", "var/cache/apt/archives/a.deb", "tmp/x", "tmp/deep/er/x", "run/x",
    "var/log/syslog.1", "var/log/x.gz", "var/log/journal/0123/system.journal", "root/.bash_history",
    "var/cache/debconf/config.dat-old", "dev/x", "etc/hostname",
    "var/lib/dhcp/dhclient6.eth0.leases", "var/lib/dhcpcd/duid", "var/db/dhcpcd/duid", "etc/dhcpcd.duid",
    "etc/dhcpcd.secret", "var/lib/wicked/duid.xml", "var/lib/wicked/lease-eth0-dhcp-ipv4.xml",
    "var/lib/NetworkManager/secret_key", "var/lib/NetworkManager/internal-1-eth0.lease",
    "var/lib/NetworkManager/dhclient-1-eth0.lease", "var/lib/systemd/network/dhcp-server-lease/eth0",
    "var/lib/tailscale/tailscaled.state", "var/lib/tailscale/files/x", "var/lib/zerotier-one/identity.secret",
    "var/lib/dhcpv6/dhcp6c_duid", "etc/udev/rules.d/70-persistent-net.rules",
]  # fmt: skip
KEPT = [
    "etc/udev/rules.d/70-mine.rules",
    "var/lib/zerotier-one/networks.d/1.conf",
    "etc/passwd",
    "etc/ssh/sshd_config",
    "var/cache/debconf/config.dat",
    "usr/lib/systemd/systemd",
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    for name in [*LEFTOVERS, *KEPT, "etc/machine-id", "var/lib/dbus/machine-id", "var/log/wtmp"]:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("secret")
    (tree / "var/log/wtmp").chmod(0o664)
    for place, _, names in os.walk(tree):
        for name in [*names, "."]:
            os.utime(Path(place) / name, (1_000_000_000, 1_000_000_000))
    return tree


def _entries(tree: Path) -> dict[bytes, Entry]:
    return {entry.path: entry for entry in scan(tree, Operation())}


def test_identities_logs_and_caches_go_and_the_rest_stays(tree: Path) -> None:
    clean(tree, Operation())
    assert [name for name in LEFTOVERS if (tree / name).exists()] == []
    assert [name for name in KEPT if (tree / name).read_text() != "secret"] == []


def test_machine_id_is_empty_not_absent(tree: Path) -> None:
    clean(tree, Operation())
    assert (tree / "etc/machine-id").read_bytes() == b""
    assert (tree / "var/lib/dbus/machine-id").readlink() == Path("/etc/machine-id")
    (tree / "etc/machine-id").unlink()
    clean(tree, Operation())
    assert (tree / "etc/machine-id").read_bytes() == b""


def test_a_log_keeps_its_owner_and_mode_and_loses_its_content(tree: Path) -> None:
    before = _entries(tree)[b"var/log/wtmp"]
    clean(tree, Operation())
    after = _entries(tree)[b"var/log/wtmp"]
    assert (after.size, after.mode, after.mtime_ns) == (0, before.mode, before.mtime_ns)


def test_no_mtime_changes_and_cleaning_again_changes_nothing(tree: Path) -> None:
    clean(tree, Operation())
    once = _entries(tree)
    assert {entry.mtime_ns for entry in once.values()} == {1_000_000_000 * 10**9}
    clean(tree, Operation())
    assert _entries(tree) == once


def test_systemd_is_told_that_its_update_work_is_done(tree: Path) -> None:
    clean(tree, Operation())
    for name in ("etc/.updated", "var/.updated"):
        assert (tree / name).read_text() == "TIMESTAMP_NSEC=1000000000000000000\n"
        assert (tree / name).stat().st_mtime == (tree / "usr").stat().st_mtime


@pytest.mark.parametrize(
    "link", ["tmp", "var/log", "etc", "var/lib/dbus", "var/lib", "etc/ssh", "var/log/journal", "run"]
)
def test_a_symlink_for_a_folder_touches_nothing_outside(tree: Path, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("machine-id", "passwd-", "ssh_host_key", "random-seed", "x.gz", "syslog"):
        (outside / name).write_text("precious")
    (tree / link).rename(tmp_path / "moved")
    (tree / link).symlink_to(outside)
    before = _entries(outside)
    clean(tree, Operation())
    assert _entries(outside) == before
    assert (tree / link).is_symlink()


@pytest.mark.parametrize(
    "link", ["etc/machine-id", "var/log/wtmp", "etc/.updated", "tmp/x", "var/log/syslog.1"]
)
def test_a_symlink_for_a_file_touches_nothing_outside(tree: Path, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    os.utime(outside, (5, 5))
    (tree / link).unlink(missing_ok=True)
    (tree / link).symlink_to(outside)
    clean(tree, Operation())
    assert (outside.read_text(), outside.stat().st_mtime) == ("precious", 5)


def test_folders_and_fifos_where_files_should_be_do_no_harm(tree: Path) -> None:
    for name in ("etc/machine-id", "var/lib/dbus/machine-id", "var/log/wtmp", "etc/hostname"):
        (tree / name).unlink()
    (tree / "etc/machine-id/full").mkdir(parents=True)
    (tree / "var/lib/dbus/machine-id").mkdir()
    os.mkfifo(tree / "var/log/wtmp")
    (tree / "etc/hostname").mkdir()
    clean(tree, Operation())
    assert (tree / "etc/machine-id/full").is_dir()


def test_a_log_that_is_a_hard_link_does_not_empty_the_other_name(tree: Path) -> None:
    (tree / "var/log/wtmp").unlink()
    (tree / "var/log/wtmp").hardlink_to(tree / "etc/passwd")
    clean(tree, Operation())
    assert (tree / "etc/passwd").read_text() == "secret"
    assert not (tree / "var/log/wtmp").exists()


def test_an_empty_tree_is_fine(tmp_path: Path) -> None:
    clean(tmp_path, Operation())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["tmp", "var/log"])
def test_a_tree_that_is_too_deep_is_refused_before_anything_goes(tree: Path, folder: str) -> None:
    (tree / folder).mkdir(parents=True, exist_ok=True)
    nested(tree / folder, "d", 1500)
    before = (tree / "etc/hostname").read_text()
    with pytest.raises(Unsupported, match="nested"):
        clean(tree, Operation())
    assert (tree / "etc/hostname").read_text() == before
    delete(tree / folder / "d")  # too deep for pytest


def test_logs_are_emptied_however_deep_they_lie(tree: Path) -> None:
    """They name who built the master, and where."""
    deep = tree / "var/log/service/old"
    deep.mkdir(parents=True)
    (deep / "its.log").write_text("secret")
    (deep / "its.log.1.gz").write_text("secret")
    clean(tree, Operation())
    assert (deep / "its.log").read_bytes() == b"" and not (deep / "its.log.1.gz").exists()
