"""What the appliance takes out of a flattened tree, for the inits that no test flattens by booting."""

import re
from pathlib import Path

import pytest

from skinnybox.masters.fitting import inits, systemd
from skinnybox.masters.guest_part import guest_folder
from tests.guest.conftest import Shell
from tests.image.families import FAMILIES

PARTS = ("begin", "flatten", "inits")


def listing(tree: Path) -> dict[str, str]:
    return {
        str(path.relative_to(tree)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in tree.rglob("*")
        if path.is_symlink() or (path.is_file() and path.suffix not in (".xz", ".gz"))
    }


@pytest.mark.parametrize(
    "name",
    ["Debian 12 with sysvinit", "Ubuntu 14.04", "Alpine", "Gentoo with OpenRC", "busybox with an inittab"],
)
def test_nothing_of_ours_is_left_for_another_init(shell: Shell, tmp_path: Path, name: str) -> None:
    tree = FAMILIES[name].make(tmp_path / "tree")
    if "sysvinit" in name:
        (tree / "etc/init.d").mkdir()
        (tree / "etc/init.d/.depend.stop").write_text("TARGETS = umountroot halt\nhalt: umountroot\n")
    kernel = next((tree / "boot").iterdir())
    kernel.unlink()  # no text
    before = listing(tree)
    inits.fit(tree)
    assert listing(tree) != before
    ended = shell(
        "", f"{function('forget_other_inits')}cd {tree} && forget_other_inits && rm -r usr/lib/skinnybox"
    )
    assert (ended.code, ended.out) == (0, "")
    assert listing(tree) == before


def test_nothing_of_ours_is_left_for_systemd(shell: Shell, tmp_path: Path) -> None:
    """Also of what earlier versions put there."""
    tree = tmp_path / "tree"
    ours = (*systemd._IDLE.values(), *systemd._WANTED, *systemd._FILES.values(), *systemd._FORMER)
    for path in (*ours, f"{systemd._OWN}/x.service.d/mine.conf"):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).touch()
    lines = (guest_folder() / "appliance/flatten").read_text()
    first = lines.index("    for name in report")
    ended = shell("", f"cd {tree}\n{lines[first : lines.index('    rm -f usr/lib/systemd/system-shutdown')]}")
    assert (ended.code, ended.out) == (0, "")
    assert [path.name for path in tree.rglob("*") if not path.is_dir()] == ["mine.conf"]


def function(name: str) -> str:
    """One of the appliance's, as it is written there."""
    text = "".join((guest_folder() / "appliance" / part).read_text() for part in PARTS)
    return text[text.index(f"{name}() {{") :].partition("\n}\n")[0] + "\n}\n"


SYSTEMD = "etc/systemd/system"
E2SCRUB = f"{SYSTEMD}/timers.target.wants/e2scrub_all.timer"


def systemd_tree(tmp_path: Path) -> Path:
    tree = tmp_path / "with-systemd"
    for path in ("usr/lib/systemd/systemd", "sbin/init"):
        (tree / path).parent.mkdir(parents=True)
        (tree / path).touch(mode=0o755)
    (tree / E2SCRUB).parent.mkdir(parents=True)
    (tree / E2SCRUB).symlink_to("/lib/systemd/system/e2scrub_all.timer")
    (tree / SYSTEMD / "modprobe@loop.service").symlink_to("/dev/null")  # by its administrator's will
    return tree


def brought_back(shell: Shell, tree: Path, note: Path | None = None) -> None:
    note = note or tree / "usr/lib/skinnybox/put-away"
    ended = shell("", f"{function('bring_back')}cd {tree} && bring_back {note}")
    assert (ended.code, ended.out) == (0, "")


def test_units_that_were_put_away_are_there_again(shell: Shell, tmp_path: Path) -> None:
    tree = systemd_tree(tmp_path)
    before = listing(tree / "etc")
    inits.fit(tree)
    assert not (tree / E2SCRUB).is_symlink()
    assert (tree / SYSTEMD / "modprobe@fuse.service").is_symlink()
    brought_back(shell, tree)
    assert listing(tree / "etc") == before


def test_units_that_the_machine_changed_stay_so(shell: Shell, tmp_path: Path) -> None:
    tree = systemd_tree(tmp_path)
    inits.fit(tree)
    (tree / E2SCRUB).symlink_to("/dev/null")
    fuse = tree / SYSTEMD / "modprobe@fuse.service"
    fuse.unlink()
    fuse.write_text("of the machine")
    brought_back(shell, tree)
    assert str((tree / E2SCRUB).readlink()) == "/dev/null"
    assert fuse.read_text() == "of the machine"


def test_a_note_that_names_anything_else_does_nothing(shell: Shell, tmp_path: Path) -> None:
    tree = systemd_tree(tmp_path)
    (tree / "etc/passwd").symlink_to("/dev/null")
    before = listing(tree)
    note = tmp_path / "note"
    lines = (
        "masked etc/passwd",
        "disabled etc/systemd/system/../../shadow /x",
        "disabled etc/x /y",
        "odd",
        "",
    )
    note.write_text("".join(f"{line}\n" for line in lines))
    brought_back(shell, tree, note)
    brought_back(shell, tree, tmp_path / "none")
    assert listing(tree) == before


MOUNTING = ("load_modules", "mount_master", "mount_layers", "mount_overlay", "mount_all")
MOUNT = f"""{"".join(map(function, MOUNTING))}
find_disk() {{ DISK=/dev/$1; }}
modprobe() {{ :; }}
cat() {{ :; }}
word() {{ echo 0; }}
refuse() {{ echo "refused: $*"; exit 9; }}
mount() {{ echo "$*"; case " $KNOWN " in *" $2 "*) ;; *) return 1 ;; esac; }}
mount_all"""


@pytest.mark.parametrize(
    ("known", "how"),
    [("erofs ext4", ["-t erofs -o ro"]), ("ext4", ["-t erofs -o ro", "-t ext4 -o ro,noload"])],
)
def test_a_master_is_mounted_as_its_kernel_can(shell: Shell, known: str, how: list[str]) -> None:
    """By trying: an older master's own functions know one kind of image only."""
    ended = shell("", f'KNOWN="{known} overlay"\n{MOUNT}')
    assert ended.code == 0
    masters = [line for line in ended.out.splitlines() if line.endswith("/lower")]
    assert masters == [f"{words} /dev/skinny-master /lower" for words in how]


def test_a_master_that_cannot_be_mounted_is_told(shell: Shell) -> None:
    ended = shell("", f"KNOWN=overlay\n{MOUNT}")
    assert ended.code == 9 and "refused: the master cannot be mounted" in ended.out


PLACES = ("over", "own", "target", "lower", "folders")
STUBS = """
refuse() { echo "refused: $*"; exit 9; }
find_disk() { DISK=/dev/$1; }
mount() { case $4 in */root-ro) FROM=$3 ;; */root-rw) TO=$3 ;; esac; }
umount() { :; }
chroot() { cp -a "$FROM/." "$TO/"; }
"""


def test_folders_that_were_mounted_are_in_their_places(shell: Shell, tmp_path: Path) -> None:
    """Of container engines nobody but the machine knew where they lay; what a seed names comes last."""
    disks = {
        "over/direct/var%lib%lxc/c": "of the overlay's disk",
        "over/direct/%new/half": "",
        "over/direct/srv%%data/x": "",
        "own/folders/var%lib%docker/layer": "of the data disk",
        "own/folders/var%lib%docker/volumes/old": "below a mount",
        "own/folders/var%lib%docker%volumes/v": "a volume",
        "target/var/lib/lxc/hidden": "by the mount",
    }
    for name, text in disks.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "over/direct/etc").symlink_to("/etc")
    (tmp_path / "folders").write_text("/var/lib/docker/volumes\n")
    script = (guest_folder() / "appliance/data").read_text()
    for place in PLACES:
        script = re.sub(rf"(?<![\w/}}]){re.escape('/' + place)}\b", f"{tmp_path}/{place}", script)
    script = script.replace("/usr/lib/skinnybox/lib", str(guest_folder() / "lib"))
    ended = shell("", STUBS + script)
    assert (ended.code, ended.out) == (0, "")
    assert listing(tmp_path / "target") == {
        "var/lib/lxc/c": "of the overlay's disk",
        "var/lib/docker/layer": "of the data disk",
        "var/lib/docker/volumes/v": "a volume",
    }
