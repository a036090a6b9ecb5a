"""owners.sh: files on a data disk have the numbers of the system that starts, wherever one was cut short."""

import os
import random
import shutil
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from skinnybox.errors import CommandFailed
from tests.guest.conftest import Ended, Shell

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
PERL = shutil.which("perl") is not None
OLD, NEW, NEWER = "sha256:aa", "sha256:bb", "sha256:cc"
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service=ep
LINES = ["user 101 102", "user 102 103", "user 103 101", "group 101 102", "group 102 101"]
SWAPPED = ["user 101 104", "user 104 101"]
# A kill is one: nothing that would follow runs. A find that is cut short has seen a part of the disk.
MACHINE = """
step() {{
    read -r n <{tmp}/step && n=$((n + 1)) && echo $n >{tmp}/step
    [ $n != {cut} ]
}}
stop() {{ kill -9 $$; exit 9; }}
sync() {{ step || stop; }}
mv() {{ step || stop; command mv "$@"; }}
rm() {{ step || stop; command rm "$@"; }}
cp() {{ step || stop; command cp "$@"; }}
find() {{ step || {{ command find "$@" -maxdepth 1 2>/dev/null; stop; }}; command find "$@"; }}
xargs() {{ step || stop; command xargs "$@"; }}
mount() {{ :; }}
umount() {{ :; }}
chroot() {{ {chroot}; }}
refuse() {{ echo "REFUSED: $*"; exit 8; }}
echo 0 >{tmp}/step
follow_owners {tmp}/root
"""
PERLS_DATA = 'command perl -e "$4" "$5" {tmp}/run/data'  # which would be bound there


@dataclass(frozen=True, slots=True)
class Move:
    """As a rebase leaves it in the system that it built."""

    id: str
    old: str
    new: str
    lines: list[str]

    @property
    def text(self) -> str:
        return "\n".join([f"move {self.id}", f"from {self.old}", f"onto {self.new}", *self.lines, ""])


A, B = Move("a1", OLD, NEW, LINES), Move("b2", NEW, NEWER, SWAPPED)


def record(*moves: Move) -> str:
    return "skinnybox-owners 1\n" + "".join(each.text for each in moves) + "end\n"


def start(
    shell: Shell, images: str, move: Move | str | None = None, *, cut: int = 0, perl: bool = True
) -> Ended:
    """One of a system that was made from `images`, by a rebase that left `move`."""
    left = shell.tmp / "root/var/lib/skinnybox/owners"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.unlink(missing_ok=True)
    if move is not None:
        left.write_text(move if isinstance(move, str) else record(move))
    (shell.tmp / "run/wanted").write_text("".join(f"{image} u\n" for image in images.split(",")))
    run = PERLS_DATA.format(tmp=shell.tmp) if perl else "return 127"
    try:
        return shell("owners", MACHINE.format(tmp=shell.tmp, cut=cut or "never", chroot=run))
    except CommandFailed as error:
        return Ended(code=error.returncode or -1, out="")


Seen = Mapping[str, tuple[int, int, int, tuple[tuple[str, bytes], ...]]]


def seen(disk: Path) -> Seen:
    found = {}
    for path in sorted((disk / "folders").rglob("*")):
        told = path.lstat()
        attributes = tuple((key, os.getxattr(path, key, follow_symlinks=False))
                           for key in sorted(os.listxattr(path, follow_symlinks=False)))  # fmt: skip
        name = str(path.relative_to(disk / "folders"))
        found[name] = (told.st_uid, told.st_gid, stat.S_IMODE(told.st_mode), attributes)
    return found


def access_list(user: int, group: int) -> bytes:
    entries = [(1, 7, -1), (2, 6, user), (4, 5, -1), (8, 4, group), (16, 7, -1), (32, 5, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


@pytest.fixture
def disk(shell: Shell) -> Path:
    """What is mounted of the disk: two folders of the machine, and one of a container engine."""
    made = shell.tmp / "run/data"
    (made / "skinnybox").mkdir(parents=True)
    top = made / "folders/srv%web"
    half = top / "half"
    half.mkdir(parents=True)
    outside = shell.tmp / "outside"
    outside.write_text("")
    os.chown(outside, 101, 101)
    for number in (101, 102, 103, 104):
        for folder in (half, top):
            path = folder / f"of\n{number}"
            path.write_text("")
            os.chown(path, number, number)
            path.chmod(0o6755)
    (top / "linked").hardlink_to(half / "of\n101")
    (half / "link").symlink_to(outside)
    os.chown(half / "link", 101, 101, follow_symlinks=False)
    able = top / "-able"
    able.write_text("")
    os.chown(able, 102, 0)
    os.setxattr(able, "security.capability", CAPABILITY)
    os.setxattr(half, "system.posix_acl_access", access_list(101, 102))
    os.setxattr(half, "system.posix_acl_default", access_list(104, 101))
    os.chown(half, 102, 101)
    half.chmod(0o3775)
    for name in ("var%lib%docker", "opt/docker", "var%lib/lxc", "home/lxc"):
        left = made / "folders" / name / "of"
        left.parent.mkdir(parents=True)
        left.write_text("")
        os.chown(left, 101, 101)
    return made


def owners(disk: Path, name: str = "srv%web/of\n{}") -> list[int]:
    return [seen(disk)[name.format(number)][0] for number in (101, 102, 103, 104)]


def test_files_follow_their_accounts_and_come_back(shell: Shell, disk: Path) -> None:
    before = seen(disk)
    ended = start(shell, NEW, A)
    assert ended.code == 0, ended.out
    after = seen(disk)
    assert owners(disk) == owners(disk, "srv%web/half/of\n{}") == [102, 103, 101, 104]
    assert [after[f"srv%web/of\n{number}"][1] for number in (101, 102, 103, 104)] == [102, 101, 103, 104]
    assert {after[f"srv%web/of\n{number}"][2] for number in (101, 102, 103, 104)} == {0o6755}
    assert after["srv%web/half/link"][:2] == (102, 102) and (shell.tmp / "outside").stat().st_uid == 101
    assert after["srv%web/half"][:3] == (103, 102, 0o3775)
    if PERL:
        assert dict(after["srv%web/-able"][3]) == {"security.capability": CAPABILITY}
        lists = dict(after["srv%web/half"][3])
        assert lists["system.posix_acl_access"] == access_list(102, 101)
        assert lists["system.posix_acl_default"] == access_list(104, 102)
    assert (disk / "skinnybox/owners").read_text() == record(A)
    ended = start(shell, OLD)
    assert ended.code == 0 and seen(disk) == before, ended.out
    assert (disk / "skinnybox/owners").read_text() == record()
    assert [path.name for path in (disk / "skinnybox").iterdir()] == ["owners"]


def test_more_files_than_one_program_takes(shell: Shell, disk: Path) -> None:
    """busybox runs it several times over what it has collected."""
    many = disk / "folders/srv%web/many"
    many.mkdir()
    for number in range(2000):
        path = many / f"{'n' * (number % 200)}\n{number}"
        path.write_text("")
        os.chown(path, 101, 101)
        path.chmod(0o4755)
    before = seen(disk)
    assert start(shell, NEW, A).code == 0
    now = {told[:3] for name, told in seen(disk).items() if name.startswith("srv%web/many/")}
    assert now == {(102, 102, 0o4755)}
    assert start(shell, OLD).code == 0 and seen(disk) == before


def test_what_agrees_costs_one_look(shell: Shell, disk: Path) -> None:
    assert start(shell, NEW, A).code == 0
    there = seen(disk)
    ended = start(shell, NEW, A)
    assert (ended.code, ended.out) == (0, "") and (shell.tmp / "step").read_text() == "2\n"
    assert seen(disk) == there


LEAVE = ["leave /var/lib/docker", "leave /var/lib/lxc", *LINES]


def test_what_containers_have_is_left_alone(shell: Shell, disk: Path) -> None:
    """Numbers in there are of other systems. It is known by where it lies in the machine."""
    before = seen(disk)
    assert start(shell, NEW, Move("a1", OLD, NEW, LEAVE)).code == 0
    names = ("var%lib%docker/of", "var%lib/lxc/of", "opt/docker/of", "home/lxc/of")
    assert [seen(disk)[name][0] for name in names] == [101, 101, 102, 102]
    assert start(shell, OLD).code == 0 and seen(disk) == before
    shutil.rmtree(disk / "folders")
    (disk / "folders/var%lib%docker").mkdir(parents=True)
    os.chown(disk / "folders/var%lib%docker", 101, 101)
    assert start(shell, NEW, Move("a1", OLD, NEW, LEAVE)).code == 0
    assert (disk / "folders/var%lib%docker").stat().st_uid == 101


BY_WHAT_STARTS = [
    # what the disk has had, which system starts, and what it has had then
    ("its trial", [], NEW, A, [A]),
    ("the way back", [A], OLD, None, []),
    ("the same master again, after that", [], NEW, A, [A]),
    ("the next rebase", [A], NEWER, B, [A, B]),
    ("the way back from that", [A, B], NEW, A, [A]),
    ("after a reset in between", [A, B], NEW, None, [A]),
    ("a reset", [A, B], NEWER, None, [A, B]),
    ("a rebase of one that was reset and not started", [A], NEWER, B, [A, B]),
    ("both disks of an older day", [], OLD, None, []),
    ("a data disk that was given later", [], NEWER, B, [B]),
    ("made anew from something else, with the old disk", [A], "sha256:dd,sha256:ee", None, [A]),
]

AFTER = {"": [101, 102, 103, 104], "a1": [102, 103, 101, 104], "a1b2": [102, 103, 104, 101],
         "b2": [104, 102, 103, 101]}  # fmt: skip


@pytest.mark.parametrize(("had", "images", "move", "then"), [row[1:] for row in BY_WHAT_STARTS],
                         ids=[row[0] for row in BY_WHAT_STARTS])  # fmt: skip
def test_which_moves_it_has_had_by_what_starts(
    shell: Shell, disk: Path, had: list[Move], images: str, move: Move | None, then: list[Move]
) -> None:
    for each in had:
        assert start(shell, each.new, each).code == 0
    assert owners(disk) == AFTER["".join(each.id for each in had)]
    ended = start(shell, images, move)
    assert ended.code == 0, ended.out
    assert owners(disk) == AFTER["".join(each.id for each in then)]
    if had or move:
        assert (disk / "skinnybox/owners").read_text() == record(*then)


def test_it_keeps_the_last_ones(shell: Shell, disk: Path) -> None:
    (disk / "skinnybox/owners").write_text(record(*(Move(f"{n:x}", f"m{n}", f"m{n + 1}", ["user 7 7"])
                                                    for n in range(12))))  # fmt: skip
    assert start(shell, NEW, Move("c3", "m12", NEW, LINES)).code == 0
    kept = [line for line in (disk / "skinnybox/owners").read_text().splitlines() if line.startswith("move")]
    assert kept == [f"move {n:x}" for n in range(4, 12)] + ["move c3"]


def test_it_goes_on_or_back_wherever_it_was_killed(shell: Shell, disk: Path) -> None:
    """The next start is of either system. Each place in both directions, until nothing is left to cut."""
    before = seen(disk)
    assert start(shell, NEW, A).code == 0
    there = seen(disk)
    cut = 0
    while True:
        cut += 1
        if start(shell, OLD, cut=cut).code == 0:
            break
        ended = start(shell, NEW, A)
        assert ended.code == 0 and seen(disk) == there, (cut, ended.out)
        assert start(shell, OLD, cut=cut).code != 0
        assert start(shell, OLD).code == 0 and seen(disk) == before, cut
        assert start(shell, NEW, A, cut=cut).code != 0
        assert start(shell, OLD).code == 0 and seen(disk) == before, cut
        assert start(shell, NEW, A, cut=cut).code != 0
        assert start(shell, NEW, A).code == 0 and seen(disk) == there, cut
    assert cut > 20


def test_any_moves_cut_anywhere_come_back(shell: Shell, disk: Path) -> None:
    chance = random.Random(16)
    before = seen(disk)
    for turn in range(4):
        had: list[Move] = []
        for number in range(chance.randint(1, 2)):
            lines = []
            for kind in ("user", "group"):
                some = chance.sample([*range(99, 108), 1895825408 + 5], chance.randint(2, 6))
                lines += [
                    f"{kind} {one} {other}" for one, other in zip(some, some[1:] + some[:1], strict=True)
                ]
            had.append(Move(f"{turn}{number}", f"m{number}", f"m{number + 1}", lines))
        states = [seen(disk)]
        for each in had:
            for _ in range(chance.randint(0, 3)):
                start(shell, each.new, each, cut=chance.randint(1, 40))
            assert start(shell, each.new, each).code == 0
            states.append(seen(disk))
        for at in reversed(range(len(had))):
            move = had[at - 1] if at else None
            for _ in range(chance.randint(0, 3)):
                start(shell, f"m{at}", move, cut=chance.randint(1, 60))
            ended = start(shell, f"m{at}", move)
            assert ended.code == 0 and seen(disk) == states[at], ended.out
    assert seen(disk) == before


def test_what_cannot_be_given_away_stops_the_start_and_the_old_system_starts(
    shell: Shell, disk: Path
) -> None:
    """An immutable file, of a user who was not asked: some are away by then."""
    before = seen(disk)
    broken = 'find() { command find "$@" -maxdepth 1; case " $*" in *" -exec "*) return 1 ;; esac; }\n'
    left = shell.tmp / "root/var/lib/skinnybox"
    left.mkdir(parents=True)
    (left / "owners").write_text(record(A))
    (shell.tmp / "run/wanted").write_text(f"{NEW} u\n")
    text = MACHINE.format(tmp=shell.tmp, cut="never", chroot=PERLS_DATA.format(tmp=shell.tmp))
    ended = shell("owners", text.replace("\nfollow_owners", f"\n{broken}follow_owners"))
    assert ended.code == 8 and "REFUSED: files on the data disk cannot be given" in ended.out, ended.out
    assert seen(disk) != before
    ended = start(shell, OLD)
    assert ended.code == 0 and "giving back what an earlier start" in ended.out and seen(disk) == before


def test_without_perl_the_owners_follow_and_the_rest_is_told(shell: Shell, disk: Path) -> None:
    ended = start(shell, NEW, A, perl=False)
    assert ended.code == 0 and "access lists of files on its data disk are not kept" in ended.out
    assert (shell.tmp / "run/data-told").read_text() in ended.out
    assert owners(disk) == [102, 103, 101, 104] and seen(disk)["srv%web/of\n101"][2] == 0o6755


BAD = {
    "another kind": "skinnybox-owners 2\nend\n",
    "no end": record(A)[:-4],
    "something behind": record(A) + "x\n",
    "root": record(Move("a", OLD, NEW, ["user 0 5", "user 5 0"])),
    "too large": record(Move("a", OLD, NEW, ["user 5 16777216", "user 16777216 5"])),
    "an away one": record(Move("a", OLD, NEW, ["user 5 1912602629", "user 1912602629 5"])),
    "no way back": record(Move("a", OLD, NEW, ["user 5 6"])),
    "two to one": record(Move("a", OLD, NEW, ["user 5 7", "user 6 7", "user 7 5"])),
    "one to two": record(Move("a", OLD, NEW, ["user 5 7", "user 5 6", "user 7 5"])),
    "negative": record(Move("a", OLD, NEW, ["user -1 6", "user 6 -1"])),
    "another word": record(Move("a", OLD, NEW, ["root 5 6", "root 6 5"])),
    "a fourth word": record(Move("a", OLD, NEW, ["user 5 6 7", "user 6 5"])),
    "a pattern": record(Move("a", OLD, NEW, ["leave /var/*", *LINES])),
    "two moves": record(A, B),
    "no move": "skinnybox-owners 1\nuser 5 6\nuser 6 5\nend\n",
    "no id": record(Move("x", OLD, NEW, LINES)),
    "large": record(A)[:-4] + f"leave /{'x' * 65536}\nend\n",
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
@pytest.mark.parametrize("where", ["system", "disk"])
def test_what_is_not_understood_stops_the_start(shell: Shell, disk: Path, text: str, where: str) -> None:
    before = seen(disk)
    if where == "disk":
        if text == BAD["two moves"]:
            return
        (disk / "skinnybox/owners").write_text(text)
    ended = start(shell, NEW, text if where == "system" else None)
    assert ended.code == 8 and "REFUSED" in ended.out, ended.out
    assert seen(disk) == before and not (disk / "skinnybox/owners.moving").exists()


def test_no_link_is_followed(shell: Shell, disk: Path) -> None:
    elsewhere = shell.tmp / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "away").write_text("")
    (elsewhere / "moves").write_text("user 101 102\n")
    (disk / "skinnybox/owners.moving").symlink_to(elsewhere)
    assert start(shell, NEW, A).code == 0 and owners(disk) == [102, 103, 101, 104]
    assert sorted(path.name for path in elsewhere.iterdir()) == ["away", "moves"]
    (disk / "skinnybox/owners").unlink()
    (disk / "skinnybox/owners").symlink_to(elsewhere / "moves")
    assert start(shell, NEW, A).code == 8
