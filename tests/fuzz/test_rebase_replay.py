"""The plan of a replay, by the confined reader that makes it, of machines whose databases of packages, marks
and links a guest's root wrote: a plan whose lists apt may be given, or an error of ours, bounded."""

import os
import random
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta.rebase import masters, planning, replay
from skinnybox.delta.rebase.masters import Files
from skinnybox.delta.rebase.rules import Choice, Policy
from skinnybox.delta.rebase.values import Decision, Fate, Subject
from skinnybox.errors import SkinnyboxError
from skinnybox.model import Master
from tests.fuzz.conftest import survives
from tests.fuzz.mutate import mutated
from tests.fuzz.test_rebase import SPOILED, WORDS
from tests.image import debianlike as debian
from tests.samples import seal

pytestmark = pytest.mark.image

MARKS, HELPER = "var/lib/apt/extended_states", "var/lib/systemd/deb-systemd-helper-enabled"
WANTS = "etc/systemd/system/multi-user.target.wants"
SPOILED_TOO = (*SPOILED, MARKS, f"{HELPER}/own.service.dsh-also", "etc/os-release", "etc/own.conf")
WORDS_TOO = (
    *WORDS, b"Auto-Installed: 1\n", b"Architecture: all\n", b"Package: own-\n", b"Package: -o=Dir::Etc=/x\n",
    b"Package: $(reboot)\n", b"Package: own:i386\n", b"ID=ubuntu\n", b"VERSION_ID=99\n",
)  # fmt: skip
TARGETS = (
    "/usr/bin/own", "../own.conf", "/" * 3000, "/.." * 200 + "/etc/passwd", "../" * 400, "a b", "a\nb",
    "\x80", ".", "/usr/lib/systemd/system/own.service", "loop", "/proc/self/root", "-rf", "/etc/links/loop",
)  # fmt: skip


def _tree(root: Path, version: str, release: str) -> Path:
    debian.tree(root, release)
    debian.install(
        root, "p", version, {"/usr/bin/p": version}, conffiles={"/etc/p.conf": f"a\nb\n{version}\n"}
    )
    debian.install(root, "q", "1", {"/lib/q/one": "1"})
    debian.account(root, "sshd", 100 + int(version))
    return root


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Master, Master]]:
    around = tmp_path_factory.mktemp("masters")
    both = []
    for version, release in (("1", "12"), ("3", "13")):
        _tree(around / f"tree-web-{version}", version, release)
        both.append(seal(around / "state", around, "web", version, unrelated=True))
    return around / "state/masters", (both[0], both[1])


@pytest.fixture
def sides(sealed: tuple[Path, tuple[Master, Master]], tmp_path: Path) -> Iterator[tuple[Files, Files]]:
    store, (old, new) = sealed
    with ExitStack() as held:
        yield (
            held.enter_context(masters.opened(store, old, tmp_path)),
            held.enter_context(masters.opened(store, new, tmp_path)),
        )


def _disk(around: Path, image: str, chance: random.Random, number: int, *, spoiled: bool = True) -> Path:
    """What a machine left that upgraded p, and installed and enabled a package of its own; then spoiled."""
    top = around / f"disk-{number}"
    upper = _tree(top / "upper", "2", "12")
    unit = {"/usr/bin/own": "1", "/lib/own/x": "1", "/usr/lib/systemd/system/own.service": "[Service]\n"}
    debian.install(upper, "own", "1", unit, conffiles={"/etc/own.conf": "1\n"})
    debian.install(upper, "needed", "1", {"/usr/lib/lib": "1"})
    for path, text in (
        ("etc/subuid", "own:100000:65536\n"),
        ("var/lib/dpkg/diversions", "/usr/bin/own\n/usr/bin/own.real\nother\n"),
        (MARKS, "Package: needed\nArchitecture: amd64\nAuto-Installed: 1\n\n"),
        (f"{HELPER}/own.service.dsh-also", f"/{WANTS}/own.service\n"),
    ):
        (upper / path).parent.mkdir(parents=True, exist_ok=True)
        (upper / path).write_text(text)
    (upper / WANTS / "own.service").symlink_to("/usr/lib/systemd/system/own.service")
    os.mknod(upper / "usr/lib/q/two", 0o020000, os.makedev(0, 0))
    if spoiled:
        _spoil(upper, chance)
    (top / "skinnybox").mkdir()
    (top / "skinnybox/base").write_text(f"skinnybox-base 1\nimage {image} 1\nend\n")
    disk = around / f"{number}.img"
    disk.touch()
    os.truncate(disk, 8 << 20)
    run.run(["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-O", "^has_journal", "-d", top, disk])
    run.run(["rm", "-rf", top])
    return disk


def _spoil(upper: Path, chance: random.Random) -> None:
    (upper / "etc/links").mkdir()
    for number in range(chance.randrange(6)):
        name = chance.choice((f"l{number}", f"l {number}", f"l\n{number}", "own.conf", "loop", "..."))
        if not (upper / "etc/links" / name).is_symlink():
            (upper / "etc/links" / name).symlink_to(chance.choice(TARGETS))
    for path in SPOILED_TOO:
        if chance.random() < 0.3:
            (upper / path).write_bytes(mutated((upper / path).read_bytes(), chance, WORDS_TOO))


def _plan(disk: Path, image: str, sides: tuple[Files, Files], policy: Policy) -> list[Decision]:
    with planning.planned(disk, *sides, policy, [image]) as found:
        return list(found)


@pytest.fixture
def image(sealed: tuple[Path, tuple[Master, Master]]) -> str:
    return sealed[1][0].images[0].digest


def test_a_good_one_is_planned(tmp_path: Path, image: str, sides: tuple[Files, Files]) -> None:
    disk = _disk(tmp_path, image, random.Random(1), 0, spoiled=False)
    found = {each.name: each.fate for each in _plan(disk, image, sides, Policy(replay=True))}
    assert (found["own"], found["needed"]) == (Fate.REINSTALL, Fate.FOLLOW)
    assert found[f"{WANTS}/own.service"] is Fate.TAKE and found["usr/lib/own/x"] is Fate.TAKE


def test_whatever_a_guests_root_writes(
    tmp_path: Path, chance: random.Random, tier: str, image: str, sides: tuple[Files, Files]
) -> None:
    rounds = 500 if tier == "full" else 20
    planned = 0
    for number in range(rounds):
        disk = _disk(tmp_path, image, chance, number)
        before = disk.read_bytes()
        policy = Policy(replay=True, on_conflict=chance.choice((Choice.MERGE, Choice.OURS, Choice.THEIRS)))
        found = survives(_plan, disk, image, sides, policy)
        assert disk.read_bytes() == before
        disk.unlink()
        if isinstance(found, SkinnyboxError):
            continue
        planned += 1
        lists = replay.of(found)
        assert replay.checked(replay.crossed(lists)) == lists
        assert not any(each.subject is Subject.FILE and each.name.startswith("/") for each in found)
    assert planned > rounds // 3
