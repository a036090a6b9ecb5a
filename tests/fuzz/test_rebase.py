"""Databases of packages and accounts that a guest's root wrote, and uppers around them: a plan or an error of
ours, bounded, whatever they say."""

import json
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta.rebase import planning, whole
from skinnybox.delta.rebase.rules import Choice, Policy
from skinnybox.delta.rebase.values import Decision, Standing, Subject
from skinnybox.delta.rebase.whole import Side
from skinnybox.errors import Corrupt, SkinnyboxError
from skinnybox.ext4 import open_volume
from skinnybox.masters import lookup
from skinnybox.masters.index import scan, write_index
from skinnybox.masters.system.gather import gather
from skinnybox.masters.system.source import Tree
from skinnybox.operation import Operation
from tests.fuzz.conftest import survives
from tests.fuzz.mutate import mutated, twisted
from tests.image import debianlike as debian

pytestmark = pytest.mark.image

WORDS = (
    b"\n\n", b"Package: ", b"Version: 1:2~3", b"Status: hold ok installed",
    b"Status: deinstall ok config-files",
    b"Conffiles:\n /etc/p ", b"\0", b"\xff\xfe", b"../" * 300, b"/" * 5000, b"/.\n", b":x:0:0::/:/bin/sh\n",
    b"root:x:4294967295:1::/:\n", b":" * 40, b"99999999999999999999", b"sshd:x:101:", "漢".encode(),
    b"\r", b" ",
)  # fmt: skip
SPOILED = (
    debian.STATUS, "etc/passwd", "etc/group", "etc/subuid", f"{debian.INFO}/p.list",
    f"{debian.INFO}/p.md5sums",
    f"{debian.INFO}/own.list", "var/lib/dpkg/diversions", "etc/p.conf",
)  # fmt: skip


def _master(root: Path, version: str) -> Path:
    debian.tree(root)
    debian.install(
        root, "p", version, {"/usr/bin/p": version}, conffiles={"/etc/p.conf": f"a\nb\n{version}\n"}
    )
    debian.install(root, "q", "1", {"/lib/q/one": "1"})
    debian.account(root, "sshd", 100 + int(version))
    debian.enable(root, "p.service")
    return root


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Side, Side]:
    around = tmp_path_factory.mktemp("masters")
    return _side(_master(around / "old", "1")), _side(_master(around / "new", "3"))


def _side(tree: Path) -> Side:
    index = tree.with_name(f"{tree.name}.index")
    write_index(scan(tree, Operation()), index)
    with tempfile.TemporaryFile() as lines, tempfile.TemporaryFile() as table:
        lookup.unpack(index, lines, table)
        lines.flush()
        table.flush()
        found = lookup.Lookup(os.dup(lines.fileno()), os.dup(table.fileno()))
    system, files = gather(Tree(tree))
    return Side(
        system=system,
        listed=lambda: list(files.items()),
        index=found,
        source=Tree(tree),
    )


def _disk(around: Path, chance: random.Random, number: int) -> Path:
    """What a machine that upgraded p, and has a package and an account of its own, left; then spoiled."""
    top = around / f"disk-{number}/upper"
    _master(top, "2")
    debian.install(top, "own", "1", {"/usr/bin/own": "1", "/lib/own/x": "1"})
    (top / "etc/subuid").write_text("own:100000:65536\n")
    (top / "var/lib/dpkg/diversions").write_text("/usr/bin/own\n/usr/bin/own.real\nother\n")
    os.mknod(top / "usr/lib/q/two", 0o020000, os.makedev(0, 0))
    for path in SPOILED:
        if chance.random() < 0.4:
            (top / path).write_bytes(mutated((top / path).read_bytes(), chance, WORDS))
    image = around / f"{number}.img"
    image.touch()
    os.truncate(image, 8 << 20)
    run.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", top.parent, image])
    return image


def _plan(image: Path, sides: tuple[Side, Side], policy: Policy) -> list[Decision]:
    with open_volume(image) as volume:
        return list(whole.plan(volume, *sides, policy))


def test_a_good_one_is_planned(tmp_path: Path, sides: tuple[Side, Side]) -> None:
    found = _plan(_disk(tmp_path, random.Random(5), 0), sides, Policy())
    assert {"p", "own"} <= {each.name for each in found if each.subject is Subject.PACKAGE}


def test_whatever_a_guests_root_writes(
    tmp_path: Path, chance: random.Random, few: int, sides: tuple[Side, Side]
) -> None:
    planned = 0
    for number in range(few):
        image = _disk(tmp_path, chance, number)
        policy = Policy(on_conflict=chance.choice((Choice.MERGE, Choice.OURS, Choice.THEIRS, Choice.FAIL)))
        found = survives(_plan, image, sides, policy)
        if not isinstance(found, SkinnyboxError):
            planned += 1
            for each in _round_trip(found):
                assert each.subject is not Subject.FILE or not each.name.startswith("/"), each
        if chance.random() < 0.3:
            _spoil(image, chance)
            survives(_plan, image, sides, policy)
        image.unlink()
    assert planned > few // 2


def _round_trip(found: list[Decision]) -> Iterator[Decision]:
    """As the confined reader hands them on."""
    for each in found:
        words = [each.subject, each.kind, each.fate, each.name, each.detail, each.standing, each.owner]
        assert planning.checked(json.loads(json.dumps(words))) == each
        yield each


def _spoil(image: Path, chance: random.Random) -> None:
    with image.open("r+b") as disk:
        for _ in range(chance.choice((1, 5, 50))):
            disk.seek(chance.randrange(4096, 1 << 20))
            disk.write(bytes([chance.randrange(256)]))


def test_no_answer_of_the_reader_is_believed(chance: random.Random, rounds: int) -> None:
    good = ["file", "own", "keep", "etc/x", "detail", "clean", "1:1 -> 2:2"]
    assert planning.checked(good).standing is Standing.CLEAN
    for _ in range(rounds):
        value = twisted(good, chance)
        found = survives(planning.checked, value)
        if not isinstance(found, Corrupt):
            assert isinstance(found, Decision)
            texts = (found.kind, found.name, found.detail, found.owner)
            assert all(type(text) is str and len(text) <= 4200 for text in texts)
