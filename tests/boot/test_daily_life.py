"""What people do every day on an ordinary Debian, done in a thin machine: each works, or fails in the one way
that docs/explanation/different.md tells of, with the way out that stands there."""

import json
from collections.abc import Callable, Iterator

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from tests.boot.conftest import Create, guest_version

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

Up = Callable[[str], MachineView]
Down = Callable[[str], None]
Sh = Callable[[str, str], str]

PACKAGES = (
    "acl", "attr", "busybox", "e2fsprogs", "grub2-common", "nfs-kernel-server", "plocate",
    "prometheus-node-exporter", "unattended-upgrades",
)  # fmt: skip
DISK = "/var/lib/skinnybox/disk"
ROOT_LINE = "UUID=11111111-2222-3333-4444-555555555555 / ext4 errors=remount-ro 0 1"

WORKS = r"""
# df shows nothing that is always full
df -P | awk 'NR > 1 && $5 == "100%" { exit 1 }'
# df says the same to anybody
su nobody -s /bin/sh -c 'df -P' | awk '$6 == "/" { found = 1 } END { exit !found }'
# the disk's own filesystem is seen
findmnt -no FSTYPE,OPTIONS $DISK | grep -q '^ext4 *rw'
# and entered by root alone
! su nobody -s /bin/sh -c "ls $DISK" 2>/dev/null && ls $DISK
# monitoring knows its size, and that it can be written to
busybox wget -qO /tmp/metrics http://127.0.0.1:9100/metrics
grep "node_filesystem_size_bytes.*fstype=.ext4.,mountpoint=.$DISK.} [1-9]" /tmp/metrics
grep "node_filesystem_readonly.*mountpoint=.$DISK.} 0\$" /tmp/metrics
# fstrim trims it
fstrim -av | grep $DISK
# what freezes it freezes the machine's files
: >/srv/frozen
sync
fsfreeze -f $DISK
echo x >>/srv/frozen &
sleep 2
frozen=$(stat -c %s /srv/frozen)
fsfreeze -u $DISK
wait
test "$frozen,$(cat /srv/frozen)" = 0,x
# the root's source is a disk
grub-probe --target=device / | grep -x "$(findmnt -no SOURCE /)"
# update-grub, and the hooks of a kernel
mkdir -p /boot/grub
update-grub
DEB_MAINT_PARAMS=configure /etc/kernel/postinst.d/zz-update-grub 6.9.9
# a kernel is told that it will not boot, before and after
/etc/kernel/preinst.d/zz-skinnybox 6.9.9 2>&1 | grep '6.9.9 only takes room'
/etc/kernel/postinst.d/zz-skinnybox 6.9.9 2>&1 | grep '6.9.9 only takes room'
# kernels and what would boot them are held
test "$(apt-mark showhold | grep -c -e ^linux-image -e ^grub)" -ge 3
# unattended-upgrades
unattended-upgrade --dry-run
# plocate finds a file of the master, once
updatedb
test "$(locate -c /etc/issue.net)" = 1
# capabilities and attributes
setcap cap_net_raw+ep /usr/bin/wall
setfattr -n user.x -v 1 /etc/gai.conf
# an access list, once a file is one's own
skinnybox-guest own /etc/issue /usr/share/doc
setfacl -m u:daemon:rx /etc/issue /usr/share/doc
# chattr, once a file is one's own
chattr +i /etc/issue
lsattr /etc/issue | grep -e -i-
chattr -i /etc/issue
# many at once, and they keep their times
skinnybox-guest own -R /usr/share/doc/acl
lsattr -R /usr/share/doc/acl >/dev/null 2>/tmp/said
test ! -s /tmp/said
test "$(stat -c %Y /usr/share/doc/acl/copyright)" -lt 1700000000
# who had it open reads what was written
exec 3</etc/networks
echo more >>/etc/networks
grep -q more <&3
# a lock outlasts the copy
exec 3</etc/ucf.conf
flock -n 3
echo >>/etc/ucf.conf
! flock -n /etc/ucf.conf true
# the status is anybody's, the changes are root's
su nobody -s /bin/sh -c 'skinnybox-guest status' | grep 'master *sha256:'
! su nobody -s /bin/sh -c 'skinnybox-guest changes' 2>/dev/null
# O_TMPFILE, where /tmp is a tmpfs
systemctl enable --now /usr/share/systemd/tmp.mount
perl -e 'sysopen F, "/tmp", 020200002 or die $!'
# NFS, of a tmpfs
mkdir /srv/shared
mount -t tmpfs shared /srv/shared
echo '/srv/shared 127.0.0.1(ro,no_subtree_check,fsid=1)' >/etc/exports
exportfs -ra
: >/etc/exports
exportfs -ra
umount /srv/shared
# swap, in memory
modprobe zram
udevadm settle
device=$(zramctl -f -s 32M)
mkswap $device
swapon $device
swapoff $device
# mv of a folder of the master
mv /usr/share/doc/acl /usr/share/doc/moved
# nobody else sees what is looked at
skinnybox-guest look true
test -z "$(ls /media/root-ro)$(ls /media/root-rw)"
"""
"""What must end well."""
FAILS = r"""
# not supported: setfacl on a file of the master
setfacl -m u:daemon:r /etc/profile
# not supported: chattr on a file of the master
chattr +i /etc/profile
# not supported: lsattr on a file of the master
lsattr /etc/profile
# not supported: O_TMPFILE
perl -e 'sysopen F, "/srv", 020200002 or die $!'
# not supported: freezing the root itself
fsfreeze -f /
# does not support NFS export: NFS
echo '/srv 127.0.0.1(ro)' >/etc/exports
exportfs -ra
# Invalid argument: a swap file
dd if=/dev/zero of=/swap bs=64K count=1
chmod 600 /swap
mkswap /swap
swapon /swap
# cross-device: renaming a folder of the master
perl -e 'rename "/usr/share/doc", "/usr/share/doc2" or die $!'
# wrong fs type: a container's upper folder
mkdir -p /srv/l /srv/u /srv/w /srv/m
mount -t overlay -o lowerdir=/srv/l,upperdir=/srv/u,workdir=/srv/w x /srv/m
"""
"""What overlayfs or EROFS cannot do, and what is said then. One that works is to be struck from the page."""


CHANGE = r"""
mkdir /srv/new
echo hi >'/srv/new/a "b'
echo more >>/etc/debian_version
rm /etc/host.conf
chmod 700 /opt
rm -r /usr/share/doc/plocate
ln -s /tmp /usr/share/doc/plocate
rm -r /usr/share/doc/attr
mkdir /usr/share/doc/attr
"""
CHANGED = {
    "/srv/new": "added",
    '/srv/new/a "b': "added",
    "/etc/debian_version": "modified",
    "/etc/host.conf": "deleted",
    "/opt": "metadata",
    "/usr/share/doc/plocate": "type",
    "/usr/share/doc/attr/copyright": "deleted",
}


@pytest.fixture(scope="module")
def daily(fleet: Fleet, master: str) -> str:
    """`master` is made first: it clears away what other guest parts left."""
    reference = f"daily:{guest_version()}"
    if reference not in [known.reference for known in fleet.masters.all()]:
        fleet.masters.build(reference, packages=PACKAGES)
    return reference


def test_daily_life(fleet: Fleet, daily: str, create: Create, up: Up, down: Down, sh: Sh) -> None:
    create("daily", master=daily)
    first = up("daily")
    assert first.current_report is not None and first.current_report.failed_units == ()
    wrong = {what: said for what, lines in _blocks(WORKS) for code, said in [_ended(fleet, lines)] if code}
    assert wrong == {}
    for what, lines in _blocks(FAILS):
        code, said = _ended(fleet, lines)
        assert code and what.partition(":")[0] in said, f"{what}: {code} {said}"
    _status_and_changes(fleet, sh)
    _a_line_for_the_root_is_harmless(up, down, sh)


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Each what it is about, and its lines of shell. A `!` counts in the last of them alone."""
    for block in text.strip().removeprefix("# ").split("\n# "):
        what, _, lines = block.partition("\n")
        yield what, lines


def _ended(fleet: Fleet, lines: str) -> tuple[int, str]:
    """How they ended, at the first that failed, and what was said on both streams."""
    outcome = fleet.remote.execute(["daily"], ["sh", "-euc", f"DISK={DISK}\n{lines}"])[0]
    if outcome.error:
        raise outcome.error
    assert outcome.value is not None and outcome.value.code is not None
    return outcome.value.code, (outcome.value.stdout + outcome.value.stderr).decode()


def _status_and_changes(fleet: Fleet, sh: Sh) -> None:
    """The machine's word and the host's are the same, but for what the seed brought."""
    machine = fleet.machine("daily")
    status = json.loads(sh("daily", "skinnybox-guest status --json"))
    assert status["instance"] == str(machine.instance.uuid)
    assert [image["digest"] for image in status["images"]] == list(machine.instance.stack.images)
    assert machine.current_report is not None
    assert status["overlay"]["size"] == machine.current_report.overlay_size
    sh("daily", CHANGE)
    within = {each["path"]: each for each in json.loads(sh("daily", "skinnybox-guest changes --json; sync"))}
    assert {path: within[path]["kind"] for path in CHANGED} == CHANGED
    assert within['/srv/new/a "b']["size"] == 3
    with fleet.overlays.changes("daily") as found:
        without = {f"/{change.path.decode()}": str(change.kind) for change in found}
    assert {path: without.get(path) for path in CHANGED} == CHANGED


def _a_line_for_the_root_is_harmless(up: Up, down: Down, sh: Sh) -> None:
    sh("daily", f"echo '{ROOT_LINE}' >>/etc/fstab; echo 'proc /proc proc hidepid=2 0 0' >>/etc/fstab")
    down("daily")
    again = up("daily")
    assert again.current_report is not None and again.current_report.failed_units == ()
    sh("daily", "systemctl is-system-running --wait")
    assert "rw" in sh("daily", "findmnt -no OPTIONS /").split(",")
    assert "hidepid" in sh("daily", "findmnt -no OPTIONS /proc")
    assert ROOT_LINE in sh("daily", "cat /etc/fstab")
