"""data.sh: folders that outlive the system, on the right disk, or no machine."""

from pathlib import Path

import pytest

from skinnybox.wire import Line, encode
from tests.guest.conftest import INSTANCE, OTHER, Ended, Shell
from tests.guest.test_stack import ext4

PARTS = "message host applied disks format overlay throwaway data direct boot"
REFUSE = 'refuse() { echo "REFUSED: $*"; exit 9; }\n'
LABEL = b"skinny-data".ljust(16, b"\0")
# A bind mount in a folder of ours is a link here; what is copied in the new root is copied here.
BINDS = """
mount() {
    echo mount "$@" >>%(tmp)s/calls
    [ "$2" != bind ] || { [ "${4%%/run}" != "$4" ] || { rm -rf "$4"; ln -s "$3" "$4"; }; }
}
umount() { echo umount "$@" >>%(tmp)s/calls; }
sync() { echo sync >>%(tmp)s/calls; }
chroot() {
    shift 2
    echo cp "$@" >>%(tmp)s/calls
    cp -a "%(tmp)s/root$2" "%(tmp)s/run/data/folders/%%new"
}
"""


@pytest.fixture
def disk(shell: Shell) -> Path:
    """What is mounted of the disk."""
    shell.disk("vdc", "skinny-data", ext4(label=LABEL))
    return mounted(shell)


def mounted(shell: Shell, instance: str = INSTANCE) -> Path:
    folder = shell.tmp / "run/data"
    (folder / "folders").mkdir(parents=True)
    (folder / "skinnybox").mkdir()
    (folder / "skinnybox/base").write_bytes(
        encode("base", 1, [Line("instance", instance)]).ljust(4096, b"\n")
    )
    return folder


def says(shell: Shell, *folders: str) -> None:
    seed = shell.tmp / "run/seed"
    seed.mkdir(exist_ok=True)
    (seed / "lines").write_text("generation 1\n" + "".join(f"data {folder}\n" for folder in folders))


def mount(shell: Shell, script: str = "") -> Ended:
    binds = BINDS % {"tmp": shell.tmp}
    return shell(PARTS, f"{REFUSE}{binds}GENERATION=1\n{script}\nmount_data {shell.tmp}/root")


def refused(shell: Shell) -> str:
    ended = mount(shell)
    assert ended.code == 9, ended.out
    assert not any("mount -o bind" in call for call in ended.calls)
    return ended.out


def test_without_a_word_of_it_nothing_is_looked_for(shell: Shell) -> None:
    says(shell)
    ended = mount(shell)
    assert (ended.code, ended.calls) == (0, [])


def test_a_folder_is_filled_at_first_and_kept_from_then_on(shell: Shell, disk: Path) -> None:
    says(shell, "/var/lib/mysql")
    there = shell.tmp / "root/var/lib/mysql"
    there.mkdir(parents=True)
    (there / "ibdata1").write_text("of the master")
    ended = mount(shell)
    assert ended.code == 0, ended.out
    kept = disk / "folders/var%lib%mysql"
    assert (kept / "ibdata1").read_text() == "of the master"
    order = [call.split()[0] for call in ended.calls]
    assert order[-4:] == ["sync", "sync", "mount", "umount"]
    assert ended.calls[-1] == f"umount {disk}"
    assert f"mount -o bind {kept} {there}" in ended.calls
    (kept / "ibdata1").write_text("written since")
    there.unlink()
    there.mkdir()
    again = mount(shell)
    assert again.code == 0 and not any(call.startswith("cp") for call in again.calls)
    assert (kept / "ibdata1").read_text() == "written since"


def test_what_the_root_does_not_have_begins_empty(shell: Shell, disk: Path) -> None:
    says(shell, "/srv/data")
    assert mount(shell).code == 0
    assert list((disk / "folders/srv%data").iterdir()) == []
    assert (shell.tmp / "root/srv/data").is_symlink()  # which stands for the mount


NEW = "root/var/lib/skinnybox/data-new"


def test_what_is_made_for_it_is_noted_until_the_seed_is_applied(shell: Shell, disk: Path) -> None:
    """It is root's; a user's home may be among it (accounts.sh)."""
    says(shell, "/home/bert/a", "/srv/b")
    (shell.tmp / "root/srv/b").mkdir(parents=True)
    ended = mount(shell)
    assert ended.code == 0, ended.out
    assert (shell.tmp / NEW).read_text().splitlines() == ["/home/bert/a", "/home", "/home/bert"]
    assert ended.calls.index("sync") < ended.calls.index(f"mount -o bind {disk}/folders/home%bert%a "
                                                          f"{shell.tmp}/root/home/bert/a")  # fmt: skip


def test_what_is_empty_still_is_noted_again(shell: Shell, disk: Path) -> None:
    """A machine that came no further with this disk may have been deleted, and its disk kept."""
    says(shell, "/home/anna", "/home/bert")
    for name in ("anna", "bert"):
        (disk / f"folders/home%{name}").mkdir()
        (shell.tmp / "root/home" / name).mkdir(parents=True)
    (disk / "folders/home%anna/x").write_text("")
    assert mount(shell).code == 0
    assert (shell.tmp / NEW).read_text() == "/home/bert\n"


def test_nothing_is_noted_where_no_seed_is_to_be_applied(shell: Shell, disk: Path) -> None:
    says(shell, "/home/bert/a")
    (shell.tmp / "root/var/lib/skinnybox").mkdir(parents=True)
    (shell.tmp / "root/var/lib/skinnybox/seed-applied").write_text(f"1 {INSTANCE}\n")
    assert mount(shell).code == 0
    assert not (shell.tmp / NEW).exists()


def test_a_fill_that_was_cut_off_begins_anew(shell: Shell, disk: Path) -> None:
    says(shell, "/data")
    (shell.tmp / "root/data").mkdir()
    (shell.tmp / "root/data/all").write_text("of it")
    (disk / "folders/%new").mkdir()
    (disk / "folders/%new/half").write_text("")
    ended = mount(shell)
    assert ended.code == 0, ended.out
    assert [path.name for path in (disk / "folders").iterdir()] == ["data"]
    assert [path.name for path in (disk / "folders/data").iterdir()] == ["all"]


def test_a_copy_that_fails_is_fatal_and_gets_no_name(shell: Shell, disk: Path) -> None:
    says(shell, "/data")
    (shell.tmp / "root/data").mkdir()
    ended = mount(shell, "chroot() { echo cp: No space left on device; return 1; }")
    assert ended.code == 9
    assert "/data cannot be copied to the data disk: cp: No space left on device" in ended.out
    assert not (disk / "folders/data").exists()


def test_the_disk_of_another_machine_is_refused(shell: Shell) -> None:
    shell.disk("vdc", "skinny-data", ext4(label=LABEL))
    mounted(shell, OTHER)
    says(shell, "/data")
    assert f"belongs to the machine {OTHER}, and this is {INSTANCE}" in refused(shell)


def test_a_disk_that_does_not_say_whose_it_is(shell: Shell, disk: Path) -> None:
    (disk / "skinnybox/base").write_bytes(b"skinnybox-base 1\n")
    says(shell, "/data")
    assert "does not say whose it is" in refused(shell)


def test_a_machine_without_its_disk_stays_down(shell: Shell) -> None:
    says(shell, "/data")
    assert "no disk called skinny-data appeared" in refused(shell)


@pytest.mark.parametrize("label", [b"skinny-overlay\0\0", b"\0" * 16])
def test_another_label_is_refused_before_it_is_mounted(shell: Shell, label: bytes) -> None:
    shell.disk("vdc", "skinny-data", ext4(label=label))
    says(shell, "/data")
    assert "not labelled skinny-data" in refused(shell)


def test_a_blank_one_is_formatted_on_order_only(shell: Shell) -> None:
    shell.disk("vdc", "skinny-data", bytes(2 << 20))
    (shell.tmp / "sys/block/vdc/size").write_text("4096\n")
    says(shell, "/data")
    assert "is blank, and the host gave no order to format it" in refused(shell)


def test_several_disks_of_that_name_are_refused(shell: Shell, disk: Path) -> None:
    shell.disk("vdd", "skinny-data", ext4(label=LABEL))
    says(shell, "/data")
    assert "several disks are called skinny-data" in refused(shell)


def test_the_host_may_call_it_by_another_name(shell: Shell) -> None:
    shell.says(data="xvdc")
    shell.disk("xvdc", None, ext4(label=LABEL))
    mounted(shell)
    says(shell, "/data")
    assert mount(shell).code == 0


@pytest.mark.parametrize("link", ["srv", "srv/data"])
def test_a_symlink_on_the_way_is_refused(shell: Shell, disk: Path, link: str) -> None:
    """It would be bound where nobody looks, or outside of the root."""
    says(shell, "/srv/data")
    place = shell.tmp / "root" / link
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to("/etc")
    assert f"/{link} is a symbolic link" in refused(shell)


def test_a_file_in_its_place_is_refused(shell: Shell, disk: Path) -> None:
    says(shell, "/data")
    (shell.tmp / "root/data").write_text("")
    assert "/data is no folder" in refused(shell)


@pytest.mark.parametrize("folder", ["/", "data", "/a/../b", "/a/./b", "/a/", "//a", "/.."])
def test_what_is_no_folder_is_refused(shell: Shell, disk: Path, folder: str) -> None:
    says(shell, folder)
    assert "names no folder for the data disk" in refused(shell)


@pytest.mark.parametrize("lies", ["folders", "folders/data"])
def test_symlinks_on_the_disk_are_refused(shell: Shell, disk: Path, lies: str) -> None:
    """Its machine's root can have put them there, to be bound out of the disk."""
    says(shell, "/data")
    place = disk / lies
    if place.exists():
        place.rmdir()
    place.symlink_to("/etc")
    assert "REFUSED" in refused(shell)


@pytest.mark.parametrize("where", ["root/var/lib/skinnybox/owners", "run/data/skinnybox/owners.moving"])
def test_owners_are_put_right_before_any_folder_is_looked_into(shell: Shell, disk: Path, where: str) -> None:
    """And nothing of that is read where no rebase has moved one."""
    says(shell, "/srv/data")
    (shell.tmp / "owners.sh").write_text(f'follow_owners() {{ echo follow "$1" >>{shell.tmp}/calls; }}\n')
    elsewhere = f"LIB={shell.tmp}/nowhere\n"
    ended = mount(shell, elsewhere)
    assert ended.code == 0 and not any(call.startswith("follow") for call in ended.calls), ended.out
    (shell.tmp / where).parent.mkdir(parents=True, exist_ok=True)
    (shell.tmp / where).mkdir()
    assert mount(shell, elsewhere).code != 0
    (shell.tmp / "root/srv/data").unlink()
    ended = mount(shell, f"LIB={shell.tmp}\n")
    calls = [call.split()[0] for call in ended.calls]
    assert ended.code == 0 and calls[:2] == ["mount", "follow"] and "mount" in calls[2:], ended.out
