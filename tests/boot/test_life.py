"""A machine's life: first start, second start, what it made its own, reset."""

from collections.abc import Callable
from pathlib import Path

from skinnybox import run
from skinnybox.errors import NotFound, NotReached
from skinnybox.ext4 import open_volume
from skinnybox.fleet.access import Login
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition, MachineView
from skinnybox.model import ChangeKind, SeedFile
from skinnybox.operation import Operation
from tests.boot.conftest import Create

Up = Callable[[str], MachineView]
Down = Callable[[str], None]
Sh = Callable[[str, str], str]


def test_a_life(fleet: Fleet, create: Create, up: Up, down: Down, sh: Sh, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    run.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", mine])
    created = create(
        "life",
        authorized_keys=(mine.with_suffix(".pub").read_text().strip(),),
        files=(SeedFile(path="/etc/site/name", content=b"widgets\n", mode=0o640, owner="root:daemon"),),
        run_once="#!/bin/sh\necho ran >>/root/ran\n",
    )
    assert created.condition is Condition.STOPPED
    assert created.host_keys == ()

    first = up("life")
    report = first.current_report
    assert report is not None
    assert first.boot_seconds is not None and 0 < first.boot_seconds < 240
    assert report.dax is False
    assert report.overlay_size is not None and 0 < report.overlay_size <= 128 << 20
    assert report.addresses
    _identity_is_the_seeds(first, sh)
    _only_known_keys_get_in(fleet, mine)
    _mounts_are_as_promised(sh)
    assert b"skinnybox" in fleet.console_log("life") or fleet.console_log("life")

    _all_is_started(sh)
    sh(
        "life",
        "mkdir -p /srv/www/widgets.com/public; echo hi >/srv/www/widgets.com/public/index.html;"
        "echo more >>/etc/debian_version; rm /etc/issue.net; chmod 700 /opt;"
        "rm -r /etc/default; ln -s /tmp /etc/default; echo edited >/etc/hostname.note; sync",
    )
    down("life")
    _overlay_is_clean(fleet, "life")
    _changes_are_listed(fleet)

    second = up("life")
    assert second.host_keys == first.host_keys
    assert sh("life", "cat /etc/hostname.note /root/ran") == "edited\nran\n"
    down("life")

    outcome = fleet.overlays.reset(["life"])[0]
    assert outcome.error is None
    with fleet.overlays.changes("life") as found:
        assert list(found) == []
    third = up("life")
    assert third.host_keys == first.host_keys
    assert third.instance.seed.generation == 2
    sh("life", "test ! -e /srv/www; test -d /etc/default; test ! -e /etc/hostname.note")
    _all_is_started(sh)
    assert sh("life", "cat /root/ran") == "ran\n"
    _identity_is_the_seeds(third, sh)


def _all_is_started(sh: Sh) -> None:
    """What runs once is among it, and may take longer than a machine takes to be ready."""
    sh("life", "systemctl is-system-running --wait || :")


def _identity_is_the_seeds(machine: MachineView, sh: Sh) -> None:
    seed = machine.instance.seed
    assert sh(
        "life", "hostname; cat /etc/machine-id; cat /etc/site/name; stat -c '%a %U:%G' /etc/site/name"
    ) == (f"life\n{seed.machine_id}\nwidgets\n640 root:daemon\n")
    assert "life" in sh("life", "getent hosts life")
    assert machine.instance.mac in sh("life", "cat /sys/class/net/*/address")


def _only_known_keys_get_in(fleet: Fleet, key: Path) -> None:
    (welcome,) = fleet.remote.execute(["life"], ["id", "-un"], login=Login(key=key))
    assert welcome.value is not None and welcome.value.stdout == b"root\n"
    other = key.with_name("other")
    run.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other])
    (stranger,) = fleet.remote.execute(["life"], ["id", "-un"], login=Login(key=other))
    assert stranger.value is not None and isinstance(stranger.value.error, NotReached)
    (absent,) = fleet.remote.execute(["life"], ["id"], login=Login(key=key.with_name("absent")))
    assert isinstance(absent.error, NotFound)


def _mounts_are_as_promised(sh: Sh) -> None:
    root = sh("life", "awk '$2 == \"/\" {print $3, $4}' /proc/mounts")
    assert root.startswith("overlay rw")
    for option in ("redirect_dir=nofollow", "index=off", "metacopy=off", "xino=off", "nfs_export=off"):
        # The kernel shows an option only where it differs from what it was built with.
        if option in root:
            continue
        name, value = option.split("=")
        assert f"{name}=" not in root, f"{name} is not {value}: {root}"
    look = "skinnybox-guest look"
    sh("life", f"{look} sh -ec 'test -e /media/root-ro/etc/os-release; test -d /media/root-rw/upper'")
    for folder in ("/media/root-ro", "/media/root-rw/upper"):
        assert "Read-only file system" in sh("life", f"! {look} touch {folder}/x 2>&1")
    assert sh("life", "ls -A /media/root-ro /media/root-rw").split() == ["/media/root-ro:", "/media/root-rw:"]


def _overlay_is_clean(fleet: Fleet, name: str) -> None:
    with (
        fleet._host.open_overlay(fleet.machine(name).instance, Operation()) as path,
        open_volume(path) as volume,
    ):
        assert not volume.superblock.needs_recovery
        assert volume.superblock.clean


def _changes_are_listed(fleet: Fleet) -> None:
    with fleet.overlays.changes("life") as found:
        changes = {change.path: change for change in found}
    kinds = {path: change.kind for path, change in changes.items()}
    assert kinds[b"srv/www/widgets.com/public/index.html"] is ChangeKind.ADDED
    assert kinds[b"etc/debian_version"] is ChangeKind.MODIFIED
    assert kinds[b"etc/issue.net"] is ChangeKind.DELETED
    assert kinds[b"opt"] is ChangeKind.METADATA
    assert kinds[b"etc/default"] is ChangeKind.TYPE
    assert kinds[b"etc/hostname.note"] is ChangeKind.ADDED
    assert b"etc/machine-id" not in changes
    assert changes[b"srv/www/widgets.com/public/index.html"].size == 3
