"""What an archive of a machine consists of: its manifest, its end, its names, the lines of its index."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from skinnybox.delta.archive import form, manifest
from skinnybox.delta.archive.form import KEPT_FLAGS, TREES, Line
from skinnybox.delta.archive.manifest import End, Manifest, Since, Stack
from skinnybox.errors import Corrupt, Unsupported
from skinnybox.model import Consistency, DiskKind

DIGEST = "0123456789abcdef" * 4
WHOLE = Manifest(
    id=UUID(int=1),
    made=datetime(2026, 11, 27, 12, 30, tzinfo=UTC),
    by="0.9",
    consistency=Consistency.CRASH,
    disks=(DiskKind.OVERLAY, DiskKind.DATA),
    machine={"format": 1, "name": "web1"},
    stack=Stack(master=f"sha256:{DIGEST}", reference="web:1", images=(f"sha256:{DIGEST}",)),
)
NAME = some.binary(min_size=1, max_size=20).filter(
    lambda name: not {0, 0x2F} & set(name) and name not in (b".", b"..")
)
PATH = some.lists(NAME, max_size=4).map(b"/".join)


def test_a_manifest_is_read_as_it_was_written() -> None:
    assert manifest.manifest_of(manifest.manifest_text(WHOLE)) == WHOLE
    later = replace(WHOLE, since=Since(id=UUID(int=2), digest=DIGEST), disks=(DiskKind.OVERLAY,))
    assert manifest.manifest_of(manifest.manifest_text(later)) == later


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", "web1"), ("id", None), ("made", "2026-11-27T12:30:00"), ("made", 7), ("by", "a\x1b[31m"),
        ("consistency", "crash"), ("consistency", []), ("disks", []), ("disks", ["data"]), ("disks", None),
        ("machine", []), ("stack", None), ("stack", {"master": DIGEST, "reference": "web:1", "images": []}),
        ("stack", {"master": f"sha256:{DIGEST}", "reference": "web:1", "images": [DIGEST]}),
        ("since", 1), ("since", {"id": str(UUID(int=2)), "digest": "sha256:"}), ("format", 0),
    ],
)  # fmt: skip
def test_a_manifest_that_makes_no_sense_is_corrupt(key: str, value: object) -> None:
    values = json.loads(manifest.manifest_text(WHOLE))
    with pytest.raises(Corrupt):
        manifest.manifest_of(json.dumps({**values, key: value}).encode())
    del values[key]
    if key != "format":
        with pytest.raises(Corrupt):
            manifest.manifest_of(json.dumps(values).encode())


@pytest.mark.parametrize("text", [b"", b"[]", b"\xff", b"[" * 100_000, b" " * ((1 << 20) + 1)])
def test_what_is_no_manifest_at_all_is_corrupt(text: bytes) -> None:
    with pytest.raises(Corrupt):
        manifest.manifest_of(text)
    with pytest.raises(Corrupt):
        manifest.end_of(text)


def test_a_manifest_of_a_later_format_is_told_to_be_one() -> None:
    values = json.loads(manifest.manifest_text(WHOLE))
    with pytest.raises(Unsupported, match="format 2"):
        manifest.manifest_of(json.dumps({**values, "format": 2}).encode())


def test_an_end_is_read_as_it_was_written() -> None:
    end = End(members=7, digest=DIGEST)
    assert manifest.end_of(manifest.end_text(end)) == end
    with pytest.raises(Corrupt):
        manifest.end_of(b'{"members":0,"sha256":"' + DIGEST.encode() + b'"}')


@settings(max_examples=60)
@given(
    path=PATH,
    letter=some.sampled_from("-dlcbp"),
    target=some.binary(min_size=1, max_size=30).filter(lambda raw: b"\0" not in raw),
    link=some.none() | PATH,
    numbers=some.tuples(*[some.integers(0, (1 << 32) - 1)] * 3),
    mtime=some.integers(-(1 << 62), 1 << 62),
)
def test_a_line_is_read_as_it_was_written(
    path: bytes, letter: str, target: bytes, link: bytes | None, numbers: tuple[int, int, int], mtime: int
) -> None:
    mode, uid, gid = numbers
    line = Line(
        "overlay", path, letter, mode & 0o7777, uid, gid, mtime,
        size=mode if letter == "-" else 0,
        rdev=(8, 1) if letter in "cb" else (0, 0),
        target=target if letter == "l" else b"",
        link=link, flags=mode & KEPT_FLAGS, xattrs=DIGEST, content=DIGEST if letter == "-" else "",
    )  # fmt: skip
    assert form.line_of(form.line_text(line)) == line


GOOD = ["overlay", "a", "-", 0o644, 0, 0, 0, 1, None, None, 0, "", DIGEST]


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, "etc"), (0, 0), (1, "../a"), (1, "/a"), (1, "a//b"), (1, "a/."), (1, "a\0"), (1, "n" * 256),
        (1, "n/" * 2100 + "n"), (1, None), (2, "s"), (2, "d"), (2, 1), (3, 0o10000), (3, -1), (3, 1.5),
        (3, True), (4, 1 << 32), (6, "0"), (7, -1), (7, 1 << 64), (9, "../x"), (9, 1), (10, 1 << 19),
        (11, "f"), (12, ""), (12, None),
    ],
)  # fmt: skip
def test_a_line_that_makes_no_sense_is_corrupt(at: int, value: object) -> None:
    form.line_of(json.dumps(GOOD).encode())
    with pytest.raises(Corrupt):
        form.line_of(json.dumps([*GOOD[:at], value, *GOOD[at + 1 :]]).encode())


@pytest.mark.parametrize(
    "name", [b"overlay", b"etc/passwd", b"/overlay/a", b"overlay//a", b"data/../a", b"overlay/a//"]
)
def test_a_member_outside_the_trees_is_corrupt(name: bytes) -> None:
    with pytest.raises(Corrupt):
        form.place(name)


@settings(max_examples=60)
@given(tree=some.sampled_from([tree.name for tree in TREES]), path=PATH, letter=some.sampled_from("-d"))
def test_a_members_name_tells_its_place(tree: str, path: bytes, letter: str) -> None:
    assert form.place(form.member_name(tree, path, letter)) == (tree, path)


def test_of_an_upper_directory_only_what_hides_and_protects_is_kept() -> None:
    upper, direct, _ = TREES
    own = {
        "user.a": b"1",
        "security.capability": b"2",
        "trusted.b": b"3",
        "trusted.overlay.overlay.opaque": b"y",
    }
    kept = {"trusted.overlay.opaque": b"y", "trusted.overlay.protattr": b"i"}
    bound = {f"trusted.overlay.{name}": b"x" for name in ("origin", "uuid")}
    kernels = {f"trusted.overlay.{name}": b"x" for name in ("impure", "nlink", "upper")}
    assert form.archived_xattrs(upper, {**own, **kept, **bound, **kernels}) == {**own, **kept}
    engines = {"user.overlay.origin": b"x", "user.overlay.opaque": b"y"}
    told = form.archived_xattrs(direct, {**own, **kept, **bound, **kernels, **engines})
    assert told == {**own, **kept, **kernels, "user.overlay.opaque": b"y"}


def test_attributes_are_the_same_in_whatever_order_and_told_apart_by_their_lengths() -> None:
    assert form.xattrs_sum({"user.a": b"1", "user.b": b"2"}) == form.xattrs_sum(
        {"user.b": b"2", "user.a": b"1"}
    )
    assert form.xattrs_sum({"user.a": b"12"}) != form.xattrs_sum({"user.a1": b"2"})
    assert form.xattrs_sum({}) == ""


@pytest.mark.parametrize("name", ["user.a=b", "user.100%", "user.%3D", "user.\udcff", "user.%25"])
def test_the_name_of_an_attribute_survives_its_record(name: str) -> None:
    key = form.xattr_record(name)
    assert b"=" not in key
    assert form.xattr_name(key) == name
    assert form.xattr_name(b"mtime") is None
