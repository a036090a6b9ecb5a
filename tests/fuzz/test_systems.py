"""Trees that strangers made: what is derived of them is bounded, and read back as it was."""

import os
import random
from pathlib import Path

from skinnybox.masters.system import record
from skinnybox.masters.system.gather import gather
from skinnybox.masters.system.source import Tree
from tests.fuzz.conftest import survives
from tests.fuzz.mutate import mutated, twisted
from tests.unit.test_masters_system import LISTS, STATUS

FILES = {
    "var/lib/dpkg/status": STATUS.encode(),
    "var/lib/dpkg/diversions": b"/usr/bin/tool\n/usr/bin/tool.real\nwrapper\n",
    "var/lib/dpkg/alternatives/editor": b"manual\n/usr/bin/editor\n",
    "lib/apk/db/installed": b"P:musl\nV:1\nA:x86_64\nF:lib\nR:ld.so\n\n",
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": b"root:x:0:\n",
    "etc/os-release": b'ID=debian\nVERSION_ID="12"\n',
    "etc/debian_version": b"12.1\n",
    **{f"var/lib/dpkg/info/{name}": text.encode() for name, text in LISTS.items()},
}
WORDS = (
    b"\n\n", b"Package: ", b"Conffiles:\n", b" /etc/x ", b"\0", b"\xff\xfe", b"../" * 300, b"/" * 5000,
    "漢".encode(), b"Status: install ok installed", b"a:b:c", b"\r", b" ", b"99999999999999999999",
    b"'\"", b"\\",
)  # fmt: skip
LINKS = (
    "lib",
    "usr",
    "etc/alternatives/editor",
    "etc/systemd/system/a.wants/b",
    "etc/rc2.d/S01x",
    "var/lib/dpkg/info",
)
TARGETS = (
    "usr/lib",
    "/",
    "..",
    "/dev/null",
    "lib",
    "x" * 3000,
    "/dev/zero",
    "../../../../etc",
    "\udcff",
    "漢",
)
PLACES = (
    "etc/systemd/system",
    "etc/passwd",
    "var/lib/dpkg/updates/0",
    "var/lib/dpkg/status.d/x",
    "var/lib/rpm/x",
)


def _tree(around: Path, chance: random.Random, number: int) -> Path:
    tree = around / f"tree-{number}"
    tree.mkdir()
    for link in LINKS:
        if chance.random() < 0.2:
            (tree / link).parent.mkdir(parents=True, exist_ok=True)
            (tree / link).symlink_to(chance.choice(TARGETS))
    for path, data in FILES.items():
        if chance.random() < 0.15 or any(_is_link(tree / part) for part in Path(path).parents):
            continue
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(mutated(data, chance, WORDS) if chance.random() < 0.6 else data)
    for place in PLACES:
        if chance.random() < 0.1 and not os.path.lexists(tree / place):
            (tree / place).parent.mkdir(parents=True, exist_ok=True)
            chance.choice((os.mkfifo, os.mkdir))(tree / place)
    return tree


def _is_link(path: Path) -> bool:
    """False also where a symlink above it leads nowhere."""
    return os.path.islink(path)  # noqa: PTH114


def _read_back(tree: Path) -> int:
    system, files = gather(Tree(tree))
    text = record.to_text(system, files)
    assert record.system_in(text, "x") == system and record.files_in(text, "x") == dict(files)
    assert len(text) < 1 << 20 and len(system.trouble) <= 20
    return len(text)


def test_every_tree_is_gathered(around: Path, few: int, chance: random.Random) -> None:
    sizes = {survives(_read_back, _tree(around / "inside", chance, number)) for number in range(few)}
    assert all(isinstance(size, int) for size in sizes) and len(sizes) > few // 4


def test_every_record_is_read_or_refused(around: Path, rounds: int, chance: random.Random) -> None:
    """Whole by its digest, and still not what to_text writes."""
    import json

    tree = around / "inside"
    for path, data in FILES.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(data)
    first, *rest = record.to_text(*gather(Tree(tree))).splitlines()
    for _ in range(rounds):
        lines = [json.dumps(twisted(json.loads(first), chance)).encode(), *rest[:-1]]
        if chance.random() < 0.3:
            lines[chance.randrange(len(lines))] = mutated(chance.choice(lines), chance, WORDS).replace(
                b"\n", b""
            )
        body = b"".join(line + b"\n" for line in lines)
        text = body + record._line({"digest": record._digest(body)})
        survives(record.system_in, text, "x")
        survives(record.files_in, text, "x")
