"""Archives made to hurt whoever unpacks them: a tree or an error, and no byte outside of the work folder."""

import gzip
import io
import os
import random
import tarfile
from pathlib import Path

import pytest

from skinnybox.errors import Corrupt, Unsupported
from skinnybox.masters.archives.bring import brought
from skinnybox.masters.catalogue import delete
from skinnybox.masters.index import Entry, scan
from skinnybox.operation import Operation
from tests.fuzz.conftest import survives
from tests.fuzz.mutate import BYTES, mutated

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(os.geteuid() != 0, reason="unpacking needs root, or a namespace for each"),
]

NAMES = (
    "a", "b", "a/b", "a/b/c", "./a", "../x", "../../x", "a/../../x", "/etc/passwd", "//etc//passwd", ".", "",
    "..", "a/.", "a//b", "-rf", "--checkpoint-action=exec=touch x", "a\nb", "a\\nb", "é" * 30, "n" * 255,
    "n" * 300, "d/" * 120 + "x", "d/" * 1500 + "x", "dev/sda", "\x1b[2J", "victim", "folder/victim",
    "escaped/x", "link", "link/x", "link/../x",
    "*", "$(touch x)", "a\tb", " ", "a ", ".wh.a", "con", "a" * 99 + "/" + "b" * 120,
)  # fmt: skip
GOOD_NAMES = ("a", "b", "c/d", "c/e", "dir", "dir/file", "./x", "link", "etc/passwd")
TYPES = (
    tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE,
    tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.CONTTYPE, b"Z", b"S", b"M", b"V", b"D",
)  # fmt: skip
XATTRS = (
    "user.x", "trusted.overlay.opaque", "security.capability", "security.selinux", "system.posix_acl_access",
    "system.nonsense", "", "user." + "n" * 300,
)  # fmt: skip


def member(chance: random.Random, around: Path) -> tarfile.TarInfo:
    targets = (
        *NAMES,
        str(around),
        str(around / "victim"),
        str(around / "folder"),
        "/",
        "/proc/self/cwd",
        "link",
    )
    found = tarfile.TarInfo(chance.choice(NAMES if chance.random() < 0.3 else GOOD_NAMES))
    found.type = chance.choice(TYPES if chance.random() < 0.2 else TYPES[:5])
    found.linkname = chance.choice(targets) if found.type in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    found.mode = chance.choice((0o644, 0o755, 0o4755, 0o7777, 0, 0o177777))
    found.uid = chance.choice((0, 1000, 65534, 2**21 - 1, 2**31, 2**32 - 2))
    found.gid = chance.choice((0, 5, 5, 5, 2**32)) if chance.random() < 0.1 else 0
    found.mtime = chance.choice((0, -1, 2**31, 2**33, 2**40, 1e18)) if chance.random() < 0.1 else 1767225600
    found.devmajor, found.devminor = chance.choice((0, 1, 8, 2**20)), chance.choice((0, 3, 255))
    if chance.random() < 0.1:
        name = chance.choice(XATTRS)
        found.pax_headers = {f"SCHILY.xattr.{name}": chance.choice(("", "x", "y" * 3000, "\0"))}
    if chance.random() < 0.1:
        found.pax_headers = {
            chance.choice(("path", "linkpath", "size", "GNU.sparse.realsize", "uid", "mtime")): chance.choice(
                ("../x", "/etc/passwd", "0", "99999999999999999999", "-1", "", "1e9", "a" * 5000)
            )
        }
    return found


def archive(chance: random.Random, around: Path) -> bytes:
    out = io.BytesIO()
    form = chance.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.PAX_FORMAT))
    with tarfile.open(fileobj=out, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as tar:
        for made in _chosen(chance, around):
            content = chance.randbytes(chance.choice((0, 1, 600)))
            has_content = made.type in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
            made.size = len(content) if has_content else 0
            try:
                tar.addfile(made, io.BytesIO(content))
            except (ValueError, OverflowError):  # what Python cannot even write
                continue
    return out.getvalue()


def _chosen(chance: random.Random, around: Path) -> list[tarfile.TarInfo]:
    members = [member(chance, around) for _ in range(chance.randrange(1, 9))]
    if chance.random() < 0.4:  # a link, and something through it
        link, through = member(chance, around), member(chance, around)
        link.name, link.type, link.linkname = (
            "link",
            tarfile.SYMTYPE,
            chance.choice((str(around), "..", "../..")),
        )
        through.name = chance.choice(("link/x", "link/victim", "link/folder/victim", "link"))
        at = chance.randrange(len(members) + 1)
        members[at:at] = [link, through]
    if chance.random() < 0.2:  # a hard link to something outside, and a write through that
        hard, again = member(chance, around), member(chance, around)
        hard.name, hard.type, hard.linkname = (
            "hard",
            tarfile.LNKTYPE,
            chance.choice(("../victim", str(around / "x"))),
        )
        again.name, again.type = "hard", tarfile.REGTYPE
        members += [hard, again]
    return members


def test_any_archive(few: int, chance: random.Random, around: Path) -> None:
    inside = around / "inside"
    taken = 0
    for number in range(few):
        data = archive(chance, around)
        if chance.random() < 0.3:
            data = _damaged(data, chance)
        packed = chance.random() < 0.2
        source = inside / ("t.tar.gz" if packed else "t.tar")
        source.write_bytes(mutated(gzip.compress(data, 1), chance) if packed else data)
        work = inside / f"work{number}"
        work.mkdir()
        found = survives(_unpacked_and_read, source, work, data, devices=bool(number % 2))
        taken += isinstance(found, list)
        assert {path.name for path in work.iterdir()} <= {"tree"}
        delete(work)
    assert few / 20 < taken < few


def _unpacked_and_read(source: Path, work: Path, shown: bytes, *, devices: bool) -> list[Entry]:
    return list(scan(brought(source, work, Operation(), devices=devices)[0], Operation()))


def _damaged(data: bytes, chance: random.Random) -> bytes:
    """Headers changed, most with a checksum that fits again."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 2, 5))):
        block = chance.randrange(max(1, len(out) // 512)) * 512
        at = block + chance.choice(
            (0, 50, 100, 108, 116, 124, 128, 135, 136, 156, 157, 257, 263, 329, 345, 386)
        )
        if at >= len(out):
            continue
        out[at] = chance.choice(BYTES + tuple(b"01237SLKxgDMVN"))
        if chance.random() < 0.8:
            head = out[block : block + 148] + b" " * 8 + out[block + 156 : block + 512]
            out[block + 148 : block + 156] = b"%06o\0 " % sum(head)
    return bytes(out)


def test_an_archive_that_claims_a_gigantic_file(around: Path) -> None:
    """2 KiB that unpack to a file of 8 TiB, all holes: it is refused, not read for hours."""
    inside = around / "inside"
    (inside / "work").mkdir()
    (inside / "t.tar").write_bytes(_sparse(8 << 40))
    found = survives(_unpacked_and_read, inside / "t.tar", inside / "work", b"", devices=False)
    assert isinstance(found, Unsupported | Corrupt), found


def _sparse(size: int) -> bytes:
    """One file of GNU's sparse format 1.0, without any data."""
    made = tarfile.TarInfo("GNUSparseFile.0/huge")
    made.mtime = 1767225600
    made.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "huge",
        "GNU.sparse.realsize": str(size),
    }
    table = f"1\n{size}\n0\n".encode().ljust(512, b"\0")
    made.size = len(table)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(made, io.BytesIO(table))
    return out.getvalue()
