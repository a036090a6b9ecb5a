"""accounts.sh: users as the guest's own programs make them. Those are functions here that do as much as
counts: passwd and group are real files, and what is not to happen twice does not."""

from pathlib import Path

import pytest

from skinnybox.wire import Line
from tests.guest.conftest import Ended, Shell
from tests.guest.test_seed import apply, mode

HASH = "$y$j9T$abcdefgh$0123456789abcdefghijklmnopq"
PASSWD = (
    "root:x:0:0:root:/root:/bin/bash\nwww:x:33:33:www:/var/www:/bin/sh\n"
    "anna:x:1000:1000::/home/anna:/bin/sh\n"
)
GROUP = "root:x:0:\nadm:x:4:anna\nwww:x:33:\ndocker:x:99:bert,annabel\nanna:x:1000:\n"
SUDOERS = "/etc/sudoers.d/skinnybox"
# They note their arguments as the stubs of Shell do, and leave the user behind.
PROGRAMS = """
noted() { local IFS=' '; printf '%s\\n' "$*" >>"$ROOT/calls"; }
last() { while [ $# -gt 1 ]; do shift; done; echo "$1"; }
added() { echo "$(last "$@"):x:1001:1001::/home/$(last "$@"):/bin/sh" >>"$ROOT/etc/passwd"; }
useradd() { noted useradd "$@"; added "$@"; }
adduser() { noted adduser "$@"; added "$@"; }
usermod() { noted usermod "$@"; }
addgroup() { noted addgroup "$@"; }
chpasswd() { noted chpasswd "$@"; cat >>"$ROOT/calls"; }
chown() { noted chown "$@"; }
visudo() { noted visudo "$@"; [ ! -e "$ROOT/mistaken" ]; }
"""


@pytest.fixture
def root(shell: Shell) -> Path:
    root = shell.tmp / "root"
    for name in ("home/anna", "usr/sbin", "usr/bin", "bin", "etc/skel", "var/www"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    (root / "etc/shadow").write_text(f"anna:{HASH}:19000:0:99999:7:::\n")
    (root / "etc/sudoers").write_text("# x\nroot ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n")
    (root / "etc/skel/.profile").write_text("profile\n")
    for program in ("usr/sbin/useradd", "usr/sbin/usermod", "usr/sbin/visudo", "usr/bin/sudo", "bin/bash"):
        (root / program).touch(mode=0o755)
    return root


def users(shell: Shell, *lines: Line | str) -> Ended:
    told = [line if isinstance(line, Line) else Line("user", line) for line in lines]
    return apply(shell, *told, stubs=(), before=PROGRAMS)


def calls(root: Path) -> list[str]:
    file = root / "calls"
    return file.read_text().splitlines() if file.exists() else []


def busybox(root: Path) -> None:
    for name in ("useradd", "usermod"):
        (root / "usr/sbin" / name).unlink()
    (root / "usr/sbin/adduser").touch()


def test_a_user_is_made(shell: Shell, root: Path) -> None:
    assert users(shell, "bert groups adm,www shell /bin/bash password " + HASH).code == 0
    made, owned = calls(root)
    assert made == (
        "useradd -M -K UID_MIN=1000 -K GID_MIN=1000 -U -G adm,www -s /bin/bash -p " + HASH + " bert"
    )
    assert owned == f"chown -R 1001:1001 {root}/home/bert.skinnybox-new"
    assert (root / "home/bert/.profile").read_text() == "profile\n"
    assert (mode(root / "home/bert"), mode(root / "home/bert/.profile")) == (0o700, 0o600)
    assert [path.name for path in (root / "home").iterdir() if "new" in path.name] == []


def test_a_plain_user_gets_bash_where_it_is_and_no_password(shell: Shell, root: Path) -> None:
    assert users(shell, "bert").code == 0
    assert calls(root)[0] == "useradd -M -K UID_MIN=1000 -K GID_MIN=1000 -U -s /bin/bash -p * bert"
    (root / "bin/bash").unlink()
    assert users(shell, "carl").code == 0
    assert calls(root)[2] == "useradd -M -K UID_MIN=1000 -K GID_MIN=1000 -U -p * carl"


def test_a_group_of_that_name_is_its_own(shell: Shell, root: Path) -> None:
    assert users(shell, "docker").code == 0
    assert " -g docker -s " in calls(root)[0]


def test_busyboxs_programs_make_one_as_well(shell: Shell, root: Path) -> None:
    busybox(root)
    (root / "bin/bash").unlink()
    assert users(shell, "bert groups adm,www").code == 0
    assert calls(root)[:-1] == [
        "adduser -D -H bert", "addgroup bert adm", "addgroup bert www", "chpasswd -e", "bert:*"
    ]  # fmt: skip


def test_who_is_there_is_brought_to_it_and_keeps_the_rest(shell: Shell, root: Path) -> None:
    other = HASH.replace("abc", "xyz")
    assert users(shell, f"anna groups adm,docker,www shell /bin/bash password {other}").code == 0
    assert calls(root) == [f"usermod -a -G docker,www -s /bin/bash -p {other} anna"]
    assert list((root / "home/anna").iterdir()) == []


def test_who_is_so_already_costs_no_program(shell: Shell, root: Path) -> None:
    (root / "bin/sh").touch(mode=0o755)
    assert users(shell, f"anna groups adm,anna shell /bin/sh password {HASH}", "www", "root").code == 0
    assert calls(root) == []


def test_who_is_there_without_usermod(shell: Shell, root: Path) -> None:
    busybox(root)
    other = HASH.replace("abc", "xyz")
    assert users(shell, f"anna groups www shell /bin/bash password {other}").code == 0
    assert calls(root) == ["addgroup anna www", "chpasswd -e", f"anna:{other}"]
    assert "\nanna:x:1000:1000::/home/anna:/bin/bash\n" in (root / "etc/passwd").read_text()


def test_a_home_that_a_power_cut_left_out_is_made(shell: Shell, root: Path) -> None:
    (root / "home/anna").rmdir()
    (root / "home/anna.skinnybox-new").mkdir()
    for name in ("passwd", "shadow", "subuid"):
        (root / f"etc/{name}.lock").write_text("1")
    assert users(shell, "anna").code == 0
    assert (root / "home/anna/.profile").exists()
    assert not (root / "home/anna.skinnybox-new").exists()
    assert list((root / "etc").glob("*.lock")) == []


def test_services_get_no_home(shell: Shell, root: Path) -> None:
    with (root / "etc/passwd").open("a") as file:
        file.write("nobody:x:65534:65534::/nonexistent:/bin/sh\ndaemon:x:2:2::/usr/none:/bin/sh\n")
    assert users(shell, "nobody", "daemon").code == 0
    assert calls(root) == [] and not (root / "nonexistent").exists() and not (root / "usr/none").exists()


def test_its_keys(shell: Shell, root: Path) -> None:
    assert users(shell, Line("user", "bert", b"ssh-ed25519 AAA me\n")).code == 0
    keys = root / "home/bert/.ssh/authorized_keys"
    assert "ssh-ed25519 AAA me" in keys.read_text().splitlines()
    assert calls(root)[-1] == f"chown 1001:1001 {keys}.skinnybox-new"


def test_keys_that_are_said_no_more_let_nobody_in(shell: Shell, root: Path) -> None:
    keys = root / "home/anna/.ssh/authorized_keys"
    assert users(shell, Line("user", "anna", b"ssh-ed25519 AAA me\n")).code == 0
    with keys.open("a") as file:
        file.write("ssh-ed25519 BBB admin\n")
    assert users(shell, "anna").code == 0
    assert (keys.read_text(), mode(keys)) == ("ssh-ed25519 BBB admin\n", 0o600)
    keys.unlink()
    assert users(shell, Line("user", "anna", b"ssh-ed25519 AAA me\n")).code == 0
    assert users(shell, "anna").code == 0
    assert not keys.exists()


def test_keys_that_another_line_says_are_written_once(shell: Shell, root: Path) -> None:
    lines = (Line("user", "anna"), Line("authorized-keys", "anna", b"ssh-ed25519 AAA me\n"))
    assert users(shell, *lines).code == 0
    (root / "calls").unlink()
    assert users(shell, *lines).code == 0
    keys = root / "home/anna/.ssh/authorized_keys"
    assert "ssh-ed25519 AAA me" in keys.read_text()
    assert [call for call in calls(root) if "authorized_keys" in call] == [
        f"chown 1000:1000 {keys}.skinnybox-new"
    ]


def test_keys_of_an_administrator_alone_stay(shell: Shell, root: Path) -> None:
    keys = root / "home/anna/.ssh/authorized_keys"
    keys.parent.mkdir()
    keys.write_text("ssh-ed25519 BBB admin\n")
    assert users(shell, "anna").code == 0
    assert keys.read_text() == "ssh-ed25519 BBB admin\n" and calls(root) == []


def test_sudo_is_in_one_file_and_goes_with_the_seed(shell: Shell, root: Path) -> None:
    assert users(shell, "anna sudo yes", f"bert sudo yes password {HASH}", "carl").code == 0
    rules = root / SUDOERS.strip("/")
    assert rules.read_text().splitlines()[1:] == [
        "anna ALL=(ALL:ALL) NOPASSWD: ALL",
        "bert ALL=(ALL:ALL) ALL",
    ]
    assert mode(rules) == 0o440
    assert calls(root)[-1] == "visudo -cq"
    assert users(shell, "anna").code == 0
    assert not rules.exists()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("bert groups adm,nope", "this master has no group nope for bert"),
        ("anna groups nope", "this master has no group nope for anna"),
        ("bert shell /bin/zsh", "this master has no /bin/zsh"),
        ("bert mood good", "unknown word mood"),
        ("bert shell", "nothing follows shell"),
        ("bert groups adm sudo", "nothing follows sudo"),
        ("", "user: nothing is said of it"),
    ],
)
def test_what_this_master_cannot_have(shell: Shell, root: Path, line: str, reason: str) -> None:
    ended = users(shell, line)
    assert ended.code == 1 and reason in ended.out
    assert calls(root) == []


def test_sudo_that_would_not_work(shell: Shell, root: Path) -> None:
    (root / "mistaken").touch()
    assert "does not take its rules" in users(shell, "anna sudo yes").out
    (root / "etc/sudoers").write_text("root ALL=(ALL:ALL) ALL\n")
    assert "does not read /etc/sudoers.d" in users(shell, "anna sudo yes").out
    (root / "usr/bin/sudo").unlink()
    assert "this master has no sudo" in users(shell, "anna sudo yes").out


def test_neither_useradd_nor_adduser(shell: Shell, root: Path) -> None:
    (root / "usr/sbin/useradd").unlink()
    ended = users(shell, "bert")
    assert ended.code == 1 and "neither useradd nor adduser" in ended.out


def test_a_program_that_fails_ends_it(shell: Shell, root: Path) -> None:
    ended = apply(shell, Line("user", "bert"), stubs=(), before=PROGRAMS + "useradd() { return 9; }\n")
    assert ended.code == 1 and "bert cannot be made" in ended.out
    ended = apply(shell, Line("user", "bert"), stubs=(), before=PROGRAMS + "useradd() { :; }\n")
    assert ended.code == 1 and "bert was not made" in ended.out


def test_only_yes_is_sudo(shell: Shell, root: Path) -> None:
    """What a later seed may say of it must not become all of it."""
    ended = users(shell, "anna sudo no")
    assert ended.code == 1 and "sudo: not no, but yes" in ended.out
    assert not (root / "etc/sudoers.d/skinnybox").exists()
