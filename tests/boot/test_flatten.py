"""The way out: a flattened machine boots by itself under UEFI, with all it made its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.errors import Conflict
from skinnybox.fleet.flatten import FlatDisk
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from tests.boot import ordinary
from tests.boot.conftest import CACHE, Create

pytestmark = [
    pytest.mark.full,
    pytest.mark.timeout(1800),
    ordinary.CAN_BOOT,
]

Up = Callable[[str], MachineView]
Down = Callable[[str], None]
Sh = Callable[[str, str], str]

MAKE = """
mkdir -p /srv/www; echo hello >/srv/www/index.html; ln /srv/www/index.html /srv/www/same
cp /bin/true /srv/noted; setfattr -n user.note -v here /srv/noted
mkfifo /srv/pipe; touch -d 2001-02-03T04:05:06Z /srv/old; chown 33:4 /srv/old; rm /etc/issue.net; sync
"""
SHOW = """
hostname; cat /etc/machine-id /srv/www/index.html; stat -c '%h' /srv/www/same; stat -c '%Y %u:%g' /srv/old
stat -c %F /srv/pipe; getfattr -h -d -m - /srv/noted 2>/dev/null | sed 1d
test ! -e /etc/issue.net && echo gone; cat /etc/ssh/ssh_host_ed25519_key.pub
"""


def test_a_flattened_machine_is_an_ordinary_one(
    fleet: Fleet, create: Create, up: Up, down: Down, sh: Sh, tmp_path: Path
) -> None:
    create("flat")
    up("flat")
    sh("flat", MAKE)
    before = sh("flat", SHOW)
    down("flat")
    disk = fleet.overlays.flatten("flat", FlatDisk(file=tmp_path / "flat.qcow2", format="qcow2"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flat.qcow2"]
    with pytest.raises(Conflict, match="exists already"):
        fleet.overlays.flatten("flat", FlatDisk(file=disk))
    with fleet.overlays.changes("flat") as found:
        assert any(change.path == b"srv/www/index.html" for change in found)
    machine, key = fleet.machine("flat"), CACHE / "ssh" / "id_ed25519"
    with ordinary.booted(disk, machine.instance.mac, machine.host_keys, key, tmp_path) as run:
        assert run(SHOW) == before
        run(ordinary.CHECK)
        run("echo again >/srv/again; sync")
