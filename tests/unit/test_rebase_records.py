"""All records together: every path of theirs is told, once, and all say the same of a package."""

import time
from collections.abc import Mapping

import pytest
from hypothesis import given as random
from hypothesis import strategies as st

from skinnybox.delta.rebase.records import Made, Sides
from skinnybox.delta.rebase.records.paragraphs import field, paragraphs
from skinnybox.delta.rebase.special import special
from skinnybox.delta.rebase.values import Fate, FileClass
from tests.unit.recorded import Thing, Tree, after, fates, sides, status, told

NAMES = "pqrs"
Side = Mapping[str, str]
SIDE = st.dictionaries(st.sampled_from(NAMES), st.sampled_from("123"), max_size=4)
STATUS, STATES = "var/lib/dpkg/status", "var/lib/apt/extended_states"
FILE, DIVERSIONS = "var/lib/dpkg/triggers/File", "var/lib/dpkg/diversions"
ANSWERS, HASHES, REGISTRY = "var/cache/debconf/config.dat", "var/lib/ucf/hashfile", "var/lib/ucf/registry"
LINKS = "var/lib/dpkg/alternatives/{}"


def tree(side: Side) -> dict[str, Thing]:
    """A system with these packages. Each has one record of each kind, that says its version."""
    every = sorted(side.items())
    found: dict[str, Thing] = {
        STATUS: status(*(f"{name}={version}" for name, version in every)),
        STATES: "".join(
            f"Package: {name}\nArchitecture: amd64\nAuto-Installed: 1\nX: {version}\n\n"
            for name, version in every
        ).encode(),
        FILE: "".join(f"/usr/share/{name} {name}/{version}\n" for name, version in every).encode(),
        DIVERSIONS: "".join(f"/{name}\n/{name}.{version}\n{name}\n" for name, version in every).encode(),
        ANSWERS: "".join(
            f"Name: {name}/x\nValue: {version}\nOwners: {name}\n\n" for name, version in every
        ).encode(),
        HASHES: "".join(f"{version}  /etc/{name}\n" for name, version in every).encode(),
        REGISTRY: "".join(f"{name} \t /etc/{name}\n" for name, version in every).encode(),
    }
    for name, version in every:
        found[LINKS.format(name)] = f"auto\n/usr/bin/{name}-link\n\n/usr/bin/{name}\n{version}\n\n".encode()
        found[f"etc/alternatives/{name}"] = f"/usr/bin/{name}"
        found[f"usr/bin/{name}-link"] = f"/etc/alternatives/{name}"
        found[f"usr/bin/{name}"] = version.encode()
    return found


def upper(old: Side, machine: Side) -> Tree:
    before, now = tree(old), tree(machine)
    changed = {path: thing for path, thing in now.items() if before.get(path) != thing}
    return {**changed, **{path: None for path in before if path not in now}}


def given(old: Side, new: Side, machine: Side) -> Sides:
    return sides(tree(old), tree(new), upper(old, machine))


def decided(old: Side, new: Side, machine: Side) -> dict[str, str]:
    """Written anew from what issue and manual say: whose version of each there is."""
    found = {}
    for name in NAMES:
        before, theirs, mine = (side.get(name) for side in (old, new, machine))
        if mine == before:
            wanted = theirs
        elif theirs == before or mine is None or theirs is None:
            wanted = mine
        else:
            wanted = max(mine, theirs)
        if wanted is not None:
            found[name] = wanted
    return found


def _lines(tree: Mapping[str, bytes | str], path: str) -> list[str]:
    content = tree.get(path, b"")
    assert isinstance(content, bytes)
    return content.decode().splitlines()


def _fields(tree: Mapping[str, bytes | str], path: str, name: str, value: str) -> dict[str, str]:
    content = tree.get(path, b"")
    assert isinstance(content, bytes)
    return {
        (field(each, name.encode()) or b"").decode(): (field(each, value.encode()) or b"").decode()
        for each in paragraphs(content, path, 100)
    }


@random(SIDE, SIDE, SIDE)
def test_random_sets_of_packages(old: Side, new: Side, machine: Side) -> None:
    """Not one record of one kind is lost, or of another version than dpkg says is there."""
    found, wanted = after(given(old, new, machine)), decided(old, new, machine)
    assert _fields(found, STATUS, "Package", "Version") == wanted
    assert {line.split()[1].split("/")[0]: line[-1] for line in _lines(found, FILE)} == wanted
    lines = _lines(found, DIVERSIONS)
    assert {path[1:]: to[-1] for path, to in zip(lines[::3], lines[1::3], strict=True)} == wanted
    assert {line.split("/")[-1]: line[0] for line in _lines(found, HASHES)} == wanted
    assert {line.split("/")[-1] for line in _lines(found, REGISTRY)} == wanted.keys()
    assert _fields(found, STATES, "Package", "Package").keys() == wanted.keys()
    assert {name[0] for name in _fields(found, ANSWERS, "Name", "Value")} == wanted.keys()


@random(SIDE, SIDE, SIDE)
def test_every_record_that_the_machine_has_is_told_once(old: Side, new: Side, machine: Side) -> None:
    """And what is made of a path is not what the new master has there: that would be a copy for nothing."""
    found = told(sides_ := given(old, new, machine))
    records = [path for path in upper(old, machine) if is_record(path)]
    assert [path for path in records if path not in found] == []
    after_new = tree(new)
    for each in found.values():
        assert each.content is None or each.content != after_new.get(each.path)
        assert each.target is None or each.target != after_new.get(each.path)
        assert not each.hidden or each.path in after_new
    assert sides_.packages.keys() == {*old, *new, *machine}


@random(SIDE)
def test_a_machine_that_did_nothing_under_the_same_master_has_nothing(side: Side) -> None:
    found = told(given(side, side, side)).values()
    assert [
        each for each in found if each.content is not None or each.target is not None or each.hidden
    ] == []


def is_record(path: str) -> bool:
    what = special(path.encode())
    return what is not None and what.kind is FileClass.RECORD


RECORDS = [
    "etc/passwd", "etc/group-", "etc/shadow-", "etc/gshadow", "etc/subuid-", "etc/subgid",
    *(f"var/lib/dpkg/{name}" for name in (
        "status", "status-old", "available", "available-old", "diversions", "diversions-old", "statoverride",
        "statoverride-old", "triggers/File", "triggers/Unincorp", "triggers/Lock", "triggers/x", "lock",
        "lock-frontend", "updates/0001", "cmethopt", "arch", "alternatives/x", "alternatives/x.dpkg-tmp",
    )),
    "etc/alternatives/x", "etc/alternatives/x y", "var/lib/apt/extended_states",
    *(f"var/cache/debconf/{name}" for name in ("config.dat", "config.dat-old", "templates.dat", "x")),
    *(f"var/lib/ucf/{name}" for name in ("hashfile", "hashfile.0", "registry", "registry.3", "cache/:etc:x")),
]  # fmt: skip


@pytest.mark.parametrize("path", RECORDS)
@pytest.mark.parametrize("lower", [True, False])
def test_every_path_of_the_table_is_told(path: str, lower: bool) -> None:
    """Also of one that the machine deleted: nothing else decides about it."""
    empty = b"auto\n/x\n\n\n" if path.startswith("var/lib/dpkg/alternatives") else b""
    assert is_record(path)
    below: Tree = {path: empty} if lower else {}
    assert path in told(sides(below, below, {path: empty}))
    assert path in told(sides({path: empty}, below, {path: None}))


def test_in_a_folder_that_the_machine_deleted_nothing_is_made() -> None:
    """It was: a file below what is no folder, which no rebase came over."""
    path, other = "var/lib/apt/extended_states", "var/lib/apt/other"
    old, new = (
        {path: f"Package: p\nAuto-Installed: 1\nX: {n}\n\n".encode(), other: b"", STATUS: status("p=1")}
        for n in "12"
    )
    assert told(sides(old, new, {path: None}))[path].content == b""
    assert told(sides(old, new, {path: None, other: None}))[path] == Made(path=path)


def test_a_tree_without_any_has_none() -> None:
    """Of whatever family."""
    tree: Tree = {"lib/apk/db/installed": b"P:x\n"}
    found = told(sides(tree, tree, {"lib/apk/db/installed": b"P:y\n"}, packages={})).values()
    assert [
        each for each in found if each.content is not None or each.target is not None or each.hidden
    ] == []


def test_the_largest_records_that_can_be_take_seconds() -> None:
    """A guest writes them."""
    four, paragraphs_of = 4 << 20, 99_000
    tree: Tree = {
        FILE: b"".join(b"/%d p\n" % n for n in range(four // 12)),
        "var/lib/dpkg/triggers/Unincorp": b"".join(b"/%d -\n" % n for n in range(80_000)),
        ANSWERS: b"".join(b"Name: %d\nOwners: p\n\n" % n for n in range(paragraphs_of)),
        HASHES: b"".join(b"x /%d\n" % n for n in range(four // 16)),
        "var/lib/dpkg/alternatives/x": b"auto\n/x\n"
        + b"".join(b"%d\n/b\n" % n for n in range(100_000))
        + b"\n\n",
    }
    before = time.process_time()
    assert len(told(sides({}, {STATUS: status("p=1")}, tree, packages=fates(p=Fate.TAKE)))) > 20
    assert time.process_time() - before < 60
