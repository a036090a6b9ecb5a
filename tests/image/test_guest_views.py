"""What is left of a machine's parts when it runs, and what `skinnybox-guest` says of them, with this kernel's
own EROFS, ext4 and overlayfs in a mount namespace. tests/boot/test_daily_life.py does it in a machine."""

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from skinnybox import run
from tests.guest.conftest import GUEST, IMAGE, INSTANCE
from tests.image.disks import REAL_ROOT

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(not REAL_ROOT, reason="mounting an image needs root"),
]

# RUN is where the initramfs has it, ROOT the new root. What the program mounts at /media is on a /media of
# the test's, and it is told another /.
STACK = r"""
work=$1 guest=$2 lower=$(losetup -f --show -r "$1/master") disk=$(losetup -f --show "$1/disk")
trap 'cd /; umount -R "$work/root"; losetup -d "$lower" "$disk"' EXIT
export RUN=$work/run/skinnybox LIB=$guest/lib ROOT=$work/root
mkdir -p "$RUN/lower/0" "$RUN/overlay" "$RUN/base" "$ROOT"
mount -t erofs -o ro "$lower" "$RUN/lower/0"
mount -t ext4 "$disk" "$RUN/overlay"
mkdir "$RUN/overlay/upper" "$RUN/overlay/work"
printf 'instance %s\nimage sha256:0 %s\n' "$3" "$4" >"$RUN/base/lines"
echo "$disk" >"$RUN/disk"
echo "$lower" >"$RUN/lowers"
echo off >"$RUN/dax"
mkdir "$RUN/seed" && : >"$RUN/seed/lines"
for part in message stack data direct; do . "$LIB/$part.sh"; done
chroot() { cp -a "$1$4" "$1$5"; }
refuse() { echo "REFUSED $*" >&2; exit 9; }
LOWERS=$RUN/lower/0 UPPER=$RUN/overlay
mount_root "$ROOT"
show_parts "$ROOT"
mount_data "$ROOT"
close_stack "$ROOT"
mount -t tmpfs none /media
sed "s,mount -o bind / ,mount -o bind $ROOT ," "$guest/bin/skinnybox-guest" >"$work/program"
chmod 755 "$work/program"
cd "$ROOT"
"""


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A folder with an image of a master and a formatted disk."""
    return _parts(tmp_path, _tree(tmp_path))


def _tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    for folder in (
        "media/root-ro",
        "media/root-rw",
        "var/lib/skinnybox/disk",
        "opt",
        "usr/share/doc/acl",
        "usr/gone/below",
    ):
        (tree / folder).mkdir(parents=True)
    for name in ("etc/issue", "etc/gone", "etc/touched", "etc/listed", "usr/share/doc/acl/copyright"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text("text\n")
    (tree / "etc/link").symlink_to("a")
    return tree


def _parts(tmp_path: Path, tree: Path) -> Path:
    run.run(["mkfs.erofs", tmp_path / "master", tree])
    shutil.rmtree(tree)
    with (tmp_path / "disk").open("wb") as disk:
        disk.truncate(64 << 20)
    run.run(["mke2fs", "-q", "-F", "-t", "ext4", tmp_path / "disk"])
    return tmp_path


def _within(parts: Path, script: str) -> str:
    words: list[str | Path] = ["sh", parts, GUEST, INSTANCE, IMAGE]
    done = run.run(["unshare", "-m", "--propagation", "private", "sh", "-ec", STACK + script, *words])
    return done.stdout.decode()


def test_what_is_mounted_and_seen(parts: Path) -> None:
    said = _within(parts, 'echo "$disk"; findmnt -rno SOURCE,TARGET,FSTYPE,VFS-OPTIONS | grep "$work" || :')
    disk, *mounted = said.splitlines()
    assert [" ".join(line.split()[:3]) for line in mounted] == [
        f"{disk} {parts}/root overlay",
        f"{disk}[/lost+found] {parts}/root/var/lib/skinnybox/disk ext4",
    ]
    assert all(line.split()[3].startswith("rw") for line in mounted)


def test_it_says_what_it_is(parts: Path) -> None:
    found = json.loads(_within(parts, '"$work/program" status --json'))
    assert found["instance"] == INSTANCE and found["images"] == [{"digest": "sha256:0", "uuid": IMAGE}]
    assert 0 < found["overlay"]["free"] < found["overlay"]["size"] <= 64 << 20


def test_it_says_what_was_changed(parts: Path) -> None:
    change = r"""
rm etc/gone; echo more >>etc/issue; touch etc/touched; ln -sf b etc/link; chmod 700 opt
rm -r usr/share/doc/acl usr/gone; mkdir usr/share/doc/acl
mkdir -p srv/new; echo x >"srv/new/a 	b"
"$work/program" changes --json
"""
    found = json.loads(_within(parts, change))
    assert {line["path"]: line["kind"] for line in found} == {
        "/etc/gone": "deleted",
        "/etc/issue": "modified",
        "/etc/link": "modified",
        "/opt": "metadata",
        "/srv": "added",
        "/srv/new": "added",
        "/srv/new/a \tb": "added",
        "/usr/gone": "deleted",
        "/usr/share/doc/acl/copyright": "deleted",
    }


@pytest.mark.skipif(run.find("setfacl") is None, reason="needs setfacl")
def test_a_file_of_the_master_takes_an_access_list_once_it_is_owned(parts: Path) -> None:
    said = _within(
        parts,
        'setfacl -m u:1:r etc/listed 2>/dev/null && echo early; "$work/program" own etc/listed; '
        'setfacl -m u:1:r etc/listed; "$work/program" changes',
    )
    assert said.split() == ["metadata", "-", "5", "/etc/listed"]


def test_who_looks_sees_both_and_nobody_else_does(parts: Path) -> None:
    said = _within(parts, '"$work/program" look sh -c "ls /media/*; ! touch /media/root-rw/x"; ls /media/*')
    assert said.split() == [
        "/media/root-ro:", "etc", "media", "opt", "usr", "var",
        "/media/root-rw:", "lost+found", "upper", "work",
        "/media/root-ro:", "/media/root-rw:",
    ]  # fmt: skip


def test_an_engine_finds_its_layers_as_they_were_sealed_and_can_put_them_together(tmp_path: Path) -> None:
    """A layer's whiteouts and marks, which our overlayfs would take for its own, and an upper directory."""
    tree = _tree(tmp_path)
    layers = tree / "var/lib/docker/overlay2"
    for folder in ("one/diff/kept", "two/diff/kept", "three/diff", "three/work", "merged"):
        (layers / folder).mkdir(parents=True)
    for name in ("one/diff/gone", "one/diff/kept/below", "two/diff/new"):
        (layers / name).write_text("text\n")
    os.mknod(layers / "two/diff/gone", 0o600 | stat.S_IFCHR, os.makedev(0, 0))
    os.setxattr(layers / "two/diff/kept", "trusted.overlay.opaque", b"y")
    (tree / "usr/sbin").mkdir()
    (tree / "usr/sbin/dockerd").touch()
    said = _within(
        _parts(tmp_path, tree),
        """
findmnt -rno FSTYPE,OPTIONS,SOURCE var/lib/docker
cd var/lib/docker/overlay2
mount -t overlay -o lowerdir=two/diff:one/diff,upperdir=three/diff,workdir=three/work x merged
echo written >merged/new
find merged three/diff -type f -o -type c
umount merged
"$work/program" changes
"$work/program" status | grep direct
""",
    )
    kind, options, source, *rest = said.partition("beside overlayfs\n")[2].split()
    assert (kind, options[:2]) == ("ext4", "rw") and source.endswith("[/direct/var%lib%docker]")
    assert rest[:2] == ["merged/new", "three/diff/new"]
    assert rest[2:4] == ["modified", "d"] and rest[5:8] == ["/var/lib/docker", "direct", "/var/lib/docker:"]


def test_it_says_what_eats_its_disk(parts: Path) -> None:
    said = _within(parts, 'mkdir -p srv/x; head -c 900000 /dev/urandom >srv/x/y; sync; "$work/program" usage')
    rows = {path: size for size, path in (line.split(None, 1) for line in said.splitlines())}
    assert rows["/srv/x"].endswith("K") and rows["/"] == max(rows.values())


def test_it_gives_back_what_was_deleted(parts: Path) -> None:
    """The disk is a file, through a loop device, which takes a discard for a hole."""
    fill = f"head -c 20000000 /dev/urandom >srv; sync; stat -c %b {parts}/disk; rm srv; sync"
    trim = f'"$work/program" trim >&2; sync; stat -c %b {parts}/disk'
    full, trimmed = map(int, _within(parts, f"{fill}; {trim}").split())
    assert full * 512 > 20_000_000 and trimmed * 512 < full * 512 - 19_000_000
