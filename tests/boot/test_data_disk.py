"""A data disk in a real machine: filled with what the master has, kept through a reset, nobody else's."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.ext4 import open_volume
from skinnybox.fleet.flatten import FlatDisk
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.masters import efi
from skinnybox.model import Allocation, DiskKind, SeedUser, ThrowAway, Thrown
from skinnybox.model.datadisk import data_disk
from skinnybox.overlays import inspect
from skinnybox.overlays.journal import copied
from skinnybox.sizes import MIB
from tests.boot.conftest import CACHE, Create

Up = Callable[[str], MachineView]
Down = Callable[[str], None]
Sh = Callable[[str, str], str]

FOLDERS = ["/root", "/srv/data", "/usr/local"]
MAKE = """
mkdir -m 0750 /opt/app; chown daemon:daemon /opt/app; echo hello >/opt/app/one; ln /opt/app/one /opt/app/two
setfattr -n user.note -v here /opt/app/one; cp /bin/true /opt/app/sealed; setfattr -n security.capability \
 -v 0x0100000200200000000000000000000000000000 /opt/app/sealed; mkfifo /opt/app/pipe
touch -d 2001-02-03T04:05:06Z /opt/app/one; sync
"""
SHOW = """
cd /opt/app; stat -c '%n %a %U %h %Y %F' one two pipe; stat -c '%a %U' .; cat two
getfattr -d -m - one sealed | grep -v '^$'
"""


def place(machine: MachineView, kind: DiskKind = DiskKind.DATA) -> Path:
    return CACHE / "instances" / str(machine.instance.uuid) / f"{kind}.img"


def on_disk(sh: Sh, name: str) -> dict[str, str]:
    """Where something is mounted from the machine's data disk, and how."""
    lines = [line.split() for line in sh(name, "grep ' ext4 ' /proc/mounts").splitlines()]
    return {where: device for device, where, *_ in lines if where != "/var/lib/skinnybox/disk"}


def test_data_outlive_the_system(fleet: Fleet, create: Create, up: Up, down: Down, sh: Sh) -> None:
    data = data_disk(96 * MIB, FOLDERS, Allocation.SPARSE)
    created = create("data", data=data)
    up("data")
    assert sorted(on_disk(sh, "data")) == FOLDERS
    assert len(set(on_disk(sh, "data").values())) == 1
    assert "/run/skinnybox/data" not in sh("data", "cat /proc/mounts")
    assert sh("data", "ls -A /root /usr/local; readlink /usr/local/man").split("\n")[-2] == "share/man"
    assert ".bashrc" in sh("data", "ls -A /root")  # of the master
    sh("data", f"echo a row >/srv/data/row; echo mine >/root/mine; {MAKE}")
    before = sh("data", SHOW)
    sh("data", "systemctl is-system-running --wait || { systemctl --failed; exit 1; }")
    down("data")
    assert inspect.is_clean(place(created)) and inspect.is_clean(place(created, DiskKind.OVERLAY))

    outcome = fleet.overlays.give_data(["data"], None, ["/opt"])[0]
    assert outcome.error is None
    up("data")
    assert sorted(on_disk(sh, "data")) == ["/opt", *FOLDERS]
    assert sh("data", SHOW) == before
    sh("data", "echo since >/opt/app/since; rm /opt/app/pipe; sync")
    down("data")

    assert fleet.overlays.reset(["data"])[0].error is None
    up("data")  # it is reached: the keys in /root are those of the seed again
    assert (
        sh("data", "cat /srv/data/row /root/mine /opt/app/since /opt/app/two")
        == "a row\nmine\nsince\nhello\n"
    )
    sh("data", "test ! -e /opt/app/pipe")
    taken = fleet.overlays.snapshot(["data"], "running", data=True)[0]
    assert taken.error is None and taken.value is not None and taken.value.data
    sh("data", "echo later >/srv/data/row; sync")
    down("data")
    assert fleet.overlays.restore(["data"], "running", data=True)[0].error is None
    grown = fleet.overlays.grow(["data"], 128 * MIB, disk=DiskKind.DATA)[0]
    assert grown.error is None
    up("data")
    assert sh("data", "cat /srv/data/row") == "a row\n"
    assert int(sh("data", "df -m --output=size /srv/data | tail -n 1")) > 100
    down("data")


def test_it_comes_up_with_its_own_data_or_not_at_all(fleet: Fleet, create: Create) -> None:
    data = data_disk(32 * MIB, ["/srv/data"], Allocation.SPARSE)
    one, other = create("one", data=data), create("other", data=data)
    shutil.copyfile(place(other), place(one))
    (outcome,) = fleet.start(["one"])
    assert outcome.error is not None
    reason = fleet.machine("one").reason or ""
    assert f"belongs to the machine {other.instance.uuid}, and this is {one.instance.uuid}" in reason


OWNERS = "stat -c '%U %a' /home/anna /home/anna/data /home/bert /home/bert/.profile; id -u anna bert"


@pytest.mark.full  # what the guest does there is decided by tests/guest/test_homes.py
def test_homes_are_their_users_and_keep_their_numbers(create: Create, up: Up, down: Down, sh: Sh) -> None:
    """Also where the users are made anew at each start: another number was another user's, once."""
    create(
        "homes",
        data=data_disk(32 * MIB, ["/home/bert", "/home/anna/data"], Allocation.SPARSE),
        users=(SeedUser(name="anna"), SeedUser(name="bert")),
        throw_away=ThrowAway(kind=Thrown.DISK),
    )
    up("homes")
    as_it_is = "anna 700\nanna 755\nbert 700\nbert 600\n"
    assert sh("homes", OWNERS) == f"{as_it_is}1000\n1001\n"
    sh("homes", "chown -R 1005:1005 /home/bert; test ! -e /var/lib/skinnybox/data-new; sync")
    down("homes")
    up("homes")
    assert sh("homes", OWNERS) == f"{as_it_is}1000\n1005\n"


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.skipif(bool(efi.missing()), reason=f"not installed: {' '.join(efi.missing())}")
def test_a_flattened_machine_has_its_data_in_place(
    fleet: Fleet, create: Create, up: Up, down: Down, sh: Sh, tmp_path: Path
) -> None:
    create("flat-data", data=data_disk(64 * MIB, ["/opt", "/srv/data"], Allocation.SPARSE))
    up("flat-data")
    sh("flat-data", f"echo a row >/srv/data/row; {MAKE}")
    down("flat-data")
    disk = fleet.overlays.flatten("flat-data", FlatDisk(file=tmp_path / "flat.raw"))
    root = tmp_path / "root.img"
    start = _root_of(disk)
    copied(disk, root, start)
    with open_volume(root) as volume:
        assert b"".join(volume.read(volume.lookup(b"srv/data/row"), limit=99)) == b"a row\n"
        one = volume.lookup(b"opt/app/one")
        assert one.inode == volume.lookup(b"opt/app/two").inode
        assert volume.lookup(b"opt/app").mode & 0o777 == 0o750


def _root_of(disk: Path) -> int:
    """Where the second partition of a GPT begins."""
    with disk.open("rb") as file:
        file.seek(1024 + 128 + 32)
        return int.from_bytes(file.read(8), "little") * 512
