"""Swap in a Debian that starts, uses it and powers off; machines that throw away what they wrote."""

from collections.abc import Callable

import pytest

from skinnybox.errors import Unsupported
from skinnybox.ext4 import open_volume
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.model import Allocation, Overlay, Swap, SwapKind, ThrowAway, Thrown
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.boot.conftest import Create

pytestmark = pytest.mark.full

Up = Callable[[str], MachineView]
Down = Callable[[str], None]
Sh = Callable[[str, str], str]
PAGE = 4096
OVERLAY = Overlay(size=256 * MIB, allocation=Allocation.SPARSE)
HOG = "systemd-run -q --unit hog perl -e '$$x = \"\"; vec($$x, 420 << 20, 8) = 1; sleep 10000'"
"""systemd has an eye on what looks like a variable: hence two."""


def on_disk(fleet: Fleet, name: str) -> dict[str, list[bytes]]:
    """What lies in the folders of a settled overlay's disk; fails when it is not settled."""
    instance = fleet.machine(name).instance
    with fleet._host.open_overlay(instance, Operation()) as path, open_volume(path) as volume:
        assert volume.superblock.clean and not volume.superblock.needs_recovery
        return {place: volume.names(place.encode()) for place in ("", "upper", "thrown")}


def nothing_failed(sh: Sh, name: str) -> None:
    assert sh(name, "systemctl is-system-running --wait || systemctl --failed") == "running\n"


def test_swap(fleet: Fleet, create: Create, up: Up, down: Down, sh: Sh) -> None:
    create("swapping", overlay=OVERLAY, swap=Swap(size=128 * MIB))
    report = up("swapping").current_report
    assert report is not None and report.swap == 128 * MIB - PAGE
    shown = sh("swapping", "swapon --show=NAME,TYPE,SIZE --bytes --noheadings").split()
    assert shown == ["/run/skinnybox/swap", "file", str(128 * MIB - PAGE)]
    nothing_failed(sh, "swapping")
    look = "stat -c '%a %U' /media/root-rw/swap; ! touch /media/root-rw/x 2>&1"
    assert sh("swapping", f'skinnybox-guest look sh -c "{look}"').startswith("600 root\n")
    sh("swapping", "! runuser -u nobody -- head -c 1 /run/skinnybox/swap 2>/dev/null")
    sh("swapping", f"{HOG}; for i in $(seq 60); do sleep 1; awk 'NR > 1 && $4 > 0 {{f = 1}} END {{exit !f}}' "
                   "/proc/swaps && exit; done; free; exit 1")  # fmt: skip
    down("swapping")
    assert b"swap" in on_disk(fleet, "swapping")[""]

    assert fleet.overlays.tell(["swapping"], {"swap": Swap(kind=SwapKind.ZRAM)})[0].ok
    up("swapping")
    assert sh("swapping", "swapon --show=NAME,TYPE --noheadings").split() == ["/dev/zram0", "partition"]
    nothing_failed(sh, "swapping")
    down("swapping")
    assert b"swap" not in on_disk(fleet, "swapping")[""]


RAN = "#!/bin/sh\necho ran >>/root/ran\n"


@pytest.mark.parametrize("kind", list(Thrown))
def test_a_machine_that_throws_away(
    fleet: Fleet, create: Create, up: Up, down: Down, sh: Sh, kind: Thrown
) -> None:
    size = 128 * MIB if kind is Thrown.MEMORY else None
    create("kiosk", overlay=OVERLAY, throw_away=ThrowAway(kind=kind, size=size), run_once=RAN,
           swap=Swap(size=16 * MIB))  # fmt: skip
    first = up("kiosk")
    nothing_failed(sh, "kiosk")
    who = sh("kiosk", "cat /etc/machine-id; hostname; cat /root/ran; swapon --show=NAME --noheadings")
    assert who.endswith("ran\n/run/skinnybox/swap\n")
    sh(
        "kiosk",
        "mkdir /srv/mine; echo mine >/srv/mine/file; rm /etc/issue; echo x >>/etc/debian_version; sync",
    )
    report = fleet.machine("kiosk").current_report
    assert report is not None and report.overlay_size is not None
    if kind is Thrown.MEMORY:
        assert report.overlay_size == size
        assert "/run/skinnybox/memory" not in sh("kiosk", "cut -d ' ' -f 2 /proc/mounts")
        with pytest.raises(Unsupported), fleet.overlays.changes("kiosk"):
            pass
    down("kiosk")
    assert (b"srv" in on_disk(fleet, "kiosk")["upper"]) is (kind is Thrown.DISK)

    second = up("kiosk")
    assert second.host_keys == first.host_keys
    nothing_failed(sh, "kiosk")
    assert sh("kiosk", "cat /etc/machine-id; hostname; cat /root/ran; swapon --show=NAME --noheadings") == who
    sh("kiosk", "test ! -e /srv/mine; test -e /etc/issue; ! grep x /etc/debian_version")
    down("kiosk")
    assert on_disk(fleet, "kiosk")["thrown"] == []
    assert b"srv" not in on_disk(fleet, "kiosk")["upper"]
