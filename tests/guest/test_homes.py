"""homes.sh: whose a home is that was there before its user, and the number this one gets."""

import os
from pathlib import Path

import pytest

from skinnybox.wire import Line
from tests.guest.conftest import Ended, Shell
from tests.guest.test_accounts import PROGRAMS, busybox, calls, root
from tests.guest.test_seed import apply, mode, whole

__all__ = ["root"]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")

REAL = f"""{PROGRAMS}
added() {{
    local number=1001 name
    name=$(last "$@")
    while [ $# -gt 1 ]; do [ "$1" != -u ] || number=$2; shift; done
    echo "$name:x:$number:$number::/home/$name:/bin/sh" >>"$ROOT/etc/passwd"
}}
chown() {{ command chown "$@"; }}
"""
NEW = "var/lib/skinnybox/data-new"


def users(shell: Shell, *names: str) -> Ended:
    return apply(shell, *(Line("user", name) for name in names), stubs=(), before=REAL)


def home(root: Path, name: str, owner: int) -> Path:
    folder = root / "home" / name
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, owner, owner)
    return folder


def made_with(root: Path) -> list[str]:
    """For each user that was made, the number that was asked for."""
    lines = (line.split() for line in calls(root) if line.startswith(("useradd", "adduser")))
    return [words[words.index("-u") + 1] if "-u" in words else "" for words in lines]


@pytest.mark.parametrize("family", ["useradd", "busybox"])
def test_a_home_that_is_there_says_which_number(shell: Shell, root: Path, family: str) -> None:
    """As after a reset, or at each start of a machine that throws away, where /home is on the data disk."""
    if family == "busybox":
        busybox(root)
    home(root, "bert", 1001)
    home(root, "carl", 1003)
    ended = users(shell, "carl", "bert")
    assert (ended.code, ended.out, made_with(root)) == (0, "", ["1003", "1001"])


def test_nobody_gets_the_number_of_somebody_elses_home(shell: Shell, root: Path) -> None:
    """A home that its user outlived on the data disk: its files would be the next one's."""
    home(root, "gone", 1001)
    home(root, "went", 1003)
    assert users(shell, "bert", "carl").code == 0
    assert made_with(root) == ["1002", "1004"]


def test_a_home_that_comes_later_in_the_seed_keeps_its_number(shell: Shell, root: Path) -> None:
    home(root, "carl", 1001)
    assert users(shell, "bert", "carl").code == 0
    assert made_with(root) == ["1002", "1001"]


def test_homes_of_services_and_strangers_cost_nobody_a_number(shell: Shell, root: Path) -> None:
    home(root, "ftp", 14)
    home(root, "far", 100_000)
    (root / "home/file").write_text("")
    (root / "home/link").symlink_to("anna")
    assert users(shell, "bert").code == 0
    assert made_with(root) == [""]


def test_homes_that_have_their_users_cost_no_program(shell: Shell, root: Path) -> None:
    before = f"{REAL}stat() {{ noted stat; }}\n"
    assert apply(shell, Line("user", "bert"), stubs=(), before=before).code == 0
    assert "stat" not in calls(root)


def test_homes_may_be_elsewhere(shell: Shell, root: Path) -> None:
    (root / "etc/default").mkdir()
    (root / "etc/default/useradd").write_text("# x\nSHELL=/bin/sh\nHOME=/srv/people\n")
    home(root, "../srv/people/bert", 1009)
    home(root, "bert", 1004)
    assert users(shell, "bert").code == 0
    assert made_with(root) == ["1009"]


@pytest.mark.parametrize(
    ("owner", "why"),
    [
        (1000, "belongs to the number 1000, and bert has 1001: another user has 1000"),
        (500, "belongs to the number 500, and bert has 1001: 500 is none of a person"),
        (60000, "belongs to the number 60000, and bert has 1001: 60000 is none of a person"),
    ],
)
def test_a_number_that_cannot_be_had_is_told(shell: Shell, root: Path, owner: int, why: str) -> None:
    folder = home(root, "bert", owner)
    ended = users(shell, "bert")
    assert (ended.code, made_with(root)) == (0, [""])
    assert ended.out == f"note: /home/bert {why}\n"
    assert folder.stat().st_uid == owner


def test_a_user_of_the_master_has_its_number_already(shell: Shell, root: Path) -> None:
    home(root, "anna", 1005)
    assert users(shell, "anna").out == "", "without a data disk nobody looks"
    (shell.tmp / "run/data-folders").write_text("/home\n")
    assert users(shell, "anna").out == (
        "note: /home/anna belongs to the number 1005, and anna has 1000: anna was there before\n"
    )
    home(root, "anna", 1000)
    assert users(shell, "anna").out == ""


def new(root: Path, *folders: str) -> None:
    (root / NEW).parent.mkdir(parents=True, exist_ok=True)
    (root / NEW).write_text("".join(f"{folder}\n" for folder in folders))
    for folder in folders:
        (root / folder.strip("/")).mkdir(exist_ok=True)


@pytest.mark.parametrize("folders", [("/home/bert",), ("/home/bert", "/home/bert/a", "/home/bert/a/b")])
def test_what_was_made_for_a_data_disk_is_its_users(
    shell: Shell, root: Path, folders: tuple[str, ...]
) -> None:
    new(root, "/srv", *folders)
    ended = users(shell, "bert")
    assert (ended.code, ended.out) == (0, "")
    owners = {folder: (root / folder.strip("/")).stat().st_uid for folder in ("/srv", *folders)}
    assert owners == {"/srv": 0, **dict.fromkeys(folders, 1001)}
    profile = root / "home/bert/.profile"
    assert profile.read_text() == "profile\n"
    assert (profile.stat().st_uid, mode(profile), mode(root / "home/bert")) == (1001, 0o600, 0o700)
    assert {path.name for path in (root / "home/bert").iterdir()} <= {".profile", "a"}


def test_killed_while_it_is_filled_the_next_start_does_it(shell: Shell, root: Path) -> None:
    new(root, "/home/bert")
    (root / "home/bert/.profile").write_text("profile\n")
    os.chown(root / "home/bert/.profile", 1001, 1001)
    (root / "home/bert/.skinnybox-new").mkdir()
    assert users(shell, "bert").code == 0
    assert (root / "home/bert").stat().st_uid == 1001
    assert [path.name for path in (root / "home/bert").iterdir()] == [".profile"]


def test_a_home_that_is_roots_by_somebodys_will_stays(shell: Shell, root: Path) -> None:
    """As sshd wants it for a ChrootDirectory."""
    new(root, "/home/other", "/home/anna-not")
    home(root, "anna", 0)
    (root / "home/anna/upload").mkdir()
    assert users(shell, "anna").code == 0
    assert [(root / f"home/anna{name}").stat().st_uid for name in ("", "/upload", "-not")] == [0, 0, 0]


def test_what_is_anothers_by_now_stays(shell: Shell, root: Path) -> None:
    new(root, "/home/bert", "/home/bert/a", "/home/bert/b")
    os.chown(root / "home/bert/a", 33, 33)
    (root / "home/bert/b").rmdir()
    (root / "home/bert/b").symlink_to(root / "home/anna")
    assert users(shell, "bert").code == 0
    assert (root / "home/bert/a").stat().st_uid == 33
    assert (root / "home/anna").stat().st_uid == 0


def test_a_skeleton_does_not_go_to_a_data_disk(shell: Shell, root: Path) -> None:
    (root / "etc/skel/.config").mkdir()
    (root / "etc/skel/.config/x").write_text("")
    new(root, "/home/bert", "/home/bert/.config")
    assert users(shell, "bert").code == 0
    assert list((root / "home/bert/.config").iterdir()) == []
    assert (root / "home/bert/.config").stat().st_uid == 1001


def test_it_is_forgotten_with_the_seed(shell: Shell, root: Path) -> None:
    (root / "media/root-rw/skinnybox").mkdir(parents=True)
    (root / "media/root-rw/skinnybox/identity").write_bytes(b"\n" * 32768)
    new(root, "/srv")
    whole(shell)
    assert not (root / NEW).exists()


KEYS = "ssh-ed25519 AAAA me\n"


def with_keys(shell: Shell) -> Ended:
    return apply(shell, Line("user", "anna", KEYS.encode()), stubs=(), before=REAL)


@pytest.mark.parametrize("name", [".ssh", ".ssh/authorized_keys", ".ssh/authorized_keys.skinnybox-new"])
@pytest.mark.parametrize("kind", ["file", "folder", "fifo", "link to a file", "link to a folder", "dangling"])
def test_what_a_user_left_in_its_home_leads_nowhere(shell: Shell, root: Path, name: str, kind: str) -> None:
    """Neither is a user given or shown the files of others by a seed, nor can it keep the machine down."""
    secret, folder = root / "etc/secret", root / "etc/folder"
    secret.write_text("of root\n")
    folder.mkdir()
    place = root / "home/anna" / name
    place.parent.mkdir(exist_ok=True)
    os.chown(place.parent, 1000, 1000)
    if kind == "file":
        place.write_text("")
    elif kind == "folder":
        place.mkdir()
        (place / "x").write_text("")
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.symlink_to(
            {"link to a file": secret, "link to a folder": folder, "dangling": root / "etc/not"}[kind]
        )
    if place.is_symlink():
        os.chown(place, 1000, 1000, follow_symlinks=False)
    home(root, "anna", 1000)
    ended = with_keys(shell)
    assert (ended.code, ended.out) == (0, "")
    keys = root / "home/anna/.ssh/authorized_keys"
    assert KEYS in keys.read_text() and "of root" not in keys.read_text()
    assert (keys.stat().st_uid, keys.parent.stat().st_uid) == (1000, 1000)
    assert [path.stat().st_uid for path in (secret, folder)] == [0, 0]
    assert secret.read_text() == "of root\n" and list(folder.iterdir()) == []
    assert not (root / "etc/not").exists()


@pytest.mark.parametrize("owner", [0, 1000])
def test_a_seeds_file_goes_where_it_is_said_and_no_users_way(shell: Shell, root: Path, owner: int) -> None:
    """An administrator's symlinks are followed as ever."""
    folder = root / "etc/folder"
    folder.mkdir()
    (home(root, "anna", owner) / "app").symlink_to(folder)
    os.chown(root / "home/anna/app", owner, owner, follow_symlinks=False)
    ended = apply(
        shell, Line("file", "/home/anna/app/conf.d/x 0644 anna:anna", b"x\n"), stubs=(), before=PROGRAMS
    )
    assert ended.code == 0, ended.out
    assert (root / "home/anna/app/conf.d/x").read_text() == "x\n"
    assert (root / "home/anna/app").is_symlink() is (owner == 0)
    assert bool(list(folder.iterdir())) is (owner == 0)


def test_links_to_what_is_ones_own_stay(shell: Shell, root: Path) -> None:
    """A release that is the current one, dotfiles of a repository."""
    folder = home(root, "anna", 1000)
    for name in ("releases", "dotfiles"):
        (folder / name).mkdir()
    (folder / "current").symlink_to("releases")
    (folder / ".ssh").symlink_to("dotfiles")
    (folder / "keys").write_text("ssh-ed25519 BBB own\n")
    (folder / "dotfiles/authorized_keys").symlink_to("../keys")
    for path in folder.rglob("*"):
        os.chown(path, 1000, 1000, follow_symlinks=False)
    lines = (Line("file", "/home/anna/current/x 0644 root:root", b"x\n"), Line("user", "anna", KEYS.encode()))
    assert apply(shell, *lines, stubs=(), before=REAL).code == 0
    assert (folder / "current").is_symlink() and (folder / "releases/x").read_text() == "x\n"
    assert (folder / ".ssh").is_symlink()
    keys = (folder / "dotfiles/authorized_keys").read_text()
    assert KEYS in keys and "own" in keys


def test_a_link_of_roots_may_have_been_given_another_name(shell: Shell, root: Path) -> None:
    (home(root, "anna", 1000) / ".ssh").symlink_to(root / "var/www")
    assert with_keys(shell).code == 0
    assert not (root / "home/anna/.ssh").is_symlink()
    assert (root / "var/www").stat().st_uid == 0


def test_a_users_file_in_the_way_of_a_seeds_file_goes(shell: Shell, root: Path) -> None:
    (home(root, "anna", 1000) / "app").write_text("")
    (root / "tmp").mkdir(mode=0o1777)
    (root / "tmp").chmod(0o1777)
    (root / "tmp/a").symlink_to(root / "etc")
    os.chown(root / "tmp/a", 1000, 1000, follow_symlinks=False)
    lines = [Line("file", f"{path} 0644 root:root", b"x\n") for path in ("/home/anna/app/x", "/tmp/a/x")]
    assert apply(shell, *lines).code == 0
    assert (root / "home/anna/app/x").is_file() and (root / "tmp/a/x").is_file()
    assert not (root / "etc/x").exists()
