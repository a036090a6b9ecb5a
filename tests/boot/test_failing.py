"""A boot in which something goes wrong: what of it the host is told, and that nobody waits in vain."""

from collections.abc import Callable

from skinnybox.errors import GuestFailed
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition, MachineView
from tests.boot.conftest import MOST_SECONDS, Create
from tests.boot.test_hostile import until
from tests.pace import within

Up = Callable[[str], MachineView]
Sh = Callable[[str, str], str]
Down = Callable[[str], None]

BROKEN = r"""cat >/etc/systemd/system/broken.service <<'END'
[Service]
Type=oneshot
ExecStart=/bin/false
[Install]
WantedBy=multi-user.target
END
systemctl enable broken.service 2>/dev/null
"""
MISSING = "/dev/disk/by-label/missing /srv/data ext4 x-systemd.device-timeout=3s 0 2"


def test_failed_units_and_emergency_mode_are_told(
    fleet: Fleet, create: Create, up: Up, down: Down, sh: Sh
) -> None:
    create("failing")
    assert up("failing").failed_units == ()
    sh("failing", BROKEN + "systemctl start broken.service || :")
    until(lambda: fleet.machine("failing").failed_units == ("broken.service",), 60, "the failed unit")
    machine = fleet.machine("failing")
    assert machine.condition is Condition.READY and machine.told == "ready, 1 failed unit"
    assert machine.reason == "failed units: broken.service"
    sh("failing", "systemctl disable broken.service; systemctl reset-failed")
    until(lambda: fleet.machine("failing").failed_units == (), 60, "that it is well again")

    sh("failing", f"mkdir /srv/data; echo '{MISSING}' >>/etc/fstab; sync")
    down("failing")
    (outcome,) = fleet.start(["failing"], timeout=within(MOST_SECONDS))
    assert isinstance(outcome.error, GuestFailed), outcome.error
    assert "it came up in emergency mode only; not mounted: /srv/data" in outcome.error.message
    assert fleet.machine("failing").condition is Condition.FAILED
    fleet.kill(["failing"])
