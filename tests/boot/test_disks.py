"""A machine whose disk is looked into while it runs, kept, grown and put back."""

from collections.abc import Callable

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.model import Allocation, Change, ChangeKind, Consistency, Overlay
from skinnybox.sizes import MIB
from tests.boot.conftest import Create

Up = Callable[[str], MachineView]
Down = Callable[[str], None]
Sh = Callable[[str, str], str]

MAKE = """
mkdir -p /srv/www; echo hello >/srv/www/index.html
echo more >>/etc/debian_version; rm /etc/issue.net; chmod 700 /opt
chmod 600 /etc/issue; chattr +id /etc/issue
rm -r /etc/default; ln -s /tmp /etc/default; printf x >"/srv/odd
name"; rm -r /etc/skel; mkdir /etc/skel; touch /etc/skel/own
sync
"""
MADE = {
    b"srv/www/index.html": ChangeKind.ADDED,
    b"srv/odd\nname": ChangeKind.ADDED,
    b"etc/debian_version": ChangeKind.MODIFIED,
    b"etc/issue.net": ChangeKind.DELETED,
    b"opt": ChangeKind.METADATA,
    b"etc/issue": ChangeKind.METADATA,
    b"etc/default": ChangeKind.TYPE,
    b"etc/skel/own": ChangeKind.ADDED,
    b"etc/skel/.bashrc": ChangeKind.DELETED,
}


def changes(fleet: Fleet) -> dict[bytes, Change]:
    with fleet.overlays.changes("disk") as found:
        return {change.path: change for change in found}


def ours(found: dict[bytes, Change]) -> dict[bytes, Change]:
    """What the test made; logs and such differ from one moment to the next."""
    return {path: found[path] for path in MADE if path in found}


def test_a_disk_and_what_is_done_to_it(fleet: Fleet, create: Create, up: Up, down: Down, sh: Sh) -> None:
    create("disk", overlay=Overlay(size=128 * MIB, allocation=Allocation.RESERVED))
    first = up("disk")
    sh("disk", MAKE)

    from_copy = changes(fleet)
    assert {path: change.kind for path, change in ours(from_copy).items()} == MADE
    assert from_copy[b"etc/issue"].detail == "mode 644 -> 600, flags id"
    kept = fleet.overlays.snapshot(["disk"], "live")[0].value
    assert kept is not None and kept.consistent is Consistency.CRASH
    assert kept.written < 100 * MIB
    assert sh("disk", "cat /srv/www/index.html") == "hello\n"
    down("disk")

    stopped = changes(fleet)
    assert ours(stopped) == ours(from_copy)
    grown = fleet.overlays.grow(["disk"], 512 * MIB)[0]
    assert grown.error is None
    assert changes(fleet) == stopped

    second = up("disk")
    assert second.host_keys == first.host_keys
    report = second.current_report
    assert report is not None and report.overlay_size is not None and report.overlay_size > 450 * MIB
    assert int(sh("disk", "df -m / | awk 'NR == 2 { print $2 }'")) > 450
    sh("disk", "cat /srv/www/index.html; echo later >/srv/www/later; sync")
    down("disk")

    restored = fleet.overlays.restore(["disk"], "live")[0]
    assert restored.error is None
    third = up("disk")
    assert third.host_keys == first.host_keys
    assert sh("disk", "cat /srv/www/index.html; ls /srv/www") == "hello\nindex.html\n"
    assert int(sh("disk", "df -m / | awk 'NR == 2 { print $2 }'")) > 450
