"""What programs load, looked for in a tree that nobody runs: by the rules of ld.so, and as ldd finds it."""

import os
import random
import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta.rebase.libraries import Lack, Libraries
from skinnybox.errors import CommandFailed
from skinnybox.masters import elf
from skinnybox.masters.system.source import Tree
from tests.unit.elves import an_elf

LIB = "usr/lib/x86_64-linux-gnu"
CONF = {"etc/ld.so.conf": "include ld.so.conf.d/*.conf\n", "etc/ld.so.conf.d/a.conf": f"# ours\n/{LIB}\n"}


class Files:
    """A tree: contents by path; a text that begins with -> is a symlink."""

    def __init__(self, files: Mapping[str, bytes | str]) -> None:
        self._files = files

    def names(self, folder: str) -> list[str]:
        start = f"{folder}/" if folder else ""
        below = [path.removeprefix(start) for path in self._files if path.startswith(start)]
        return sorted({path.partition("/")[0] for path in below})

    def links(self, folder: str) -> dict[str, str]:
        found = {name: self._files.get(f"{folder}/{name}".lstrip("/")) for name in self.names(folder)}
        return {n: t.removeprefix("-> ") for n, t in found.items() if isinstance(t, str) and t[:3] == "-> "}

    def read(self, path: str, limit: int) -> bytes | None:
        found = self._files.get(path)
        if found is None or (isinstance(found, str) and found.startswith("-> ")):
            return None
        return (found.encode() if isinstance(found, str) else found)[:limit]

    def part(self, path: str, at: int, length: int) -> bytes | None:
        found = self.read(path, 1 << 30)
        return None if found is None else found[at : at + length]


Content = dict[str, bytes | str]


def lacks(files: Mapping[str, bytes | str], path: str = "usr/bin/p") -> set[str]:
    return {lack.told for lack in Libraries(Files(files)).lacks(path)}


def test_what_is_there_is_found_and_what_is_not_is_told_by_its_name() -> None:
    tree: Content = {"usr/bin/p": an_elf(["a.so", "b.so"]), f"{LIB}/a.so": an_elf(["c.so"], soname="a.so")}
    assert lacks(tree) == {"b.so", "c.so"}
    assert lacks({**tree, f"{LIB}/b.so": an_elf(), f"{LIB}/c.so": an_elf()}) == set()


@pytest.mark.parametrize("place", ["lib", "usr/lib", f"{LIB}", "lib64", "opt/own"])
def test_the_places_are_the_configured_ones_and_the_usual_ones(place: str) -> None:
    tree: Content = {"usr/bin/p": an_elf(["a.so"]), f"{place}/a.so": an_elf()}
    assert lacks(tree) == ({"a.so"} if place == "opt/own" else set())
    configured: Content = {**tree, **CONF, "etc/ld.so.conf.d/z.conf": "/opt/own\nhwcap 0 nosegneg\n"}
    assert lacks(configured) == set()


def test_a_library_of_another_kind_is_passed_over() -> None:
    other = an_elf(wide=False, machine=3)
    tree: Content = {**CONF, "usr/bin/p": an_elf(["a.so"]), f"{LIB}/a.so": other}
    assert lacks(tree) == {"a.so"}
    assert lacks({**tree, "usr/lib/a.so": an_elf()}) == set()
    assert lacks({**tree, "usr/bin/q": an_elf(["a.so"], wide=False, machine=3)}, "usr/bin/q") == set()


def test_symlinks_are_followed_and_never_for_ever() -> None:
    tree: Content = {
        "lib": "-> usr/lib", "usr/bin/p": an_elf(["a.so", "loop.so"]), "usr/lib/a.so": "-> ../share/a.so.1",
        "usr/share/a.so.1": an_elf(), "usr/lib/loop.so": "-> loop.so",
    }  # fmt: skip
    assert lacks(tree) == {"loop.so"}
    assert lacks({**tree, "usr/lib/loop.so": an_elf()}) == set()


def test_versions_are_those_that_the_library_says_it_has() -> None:
    library = an_elf(soname="a.so", defined=["a.so", "A_1", "A_2"])
    program = an_elf(["a.so"], wanted={"a.so": ["A_1", "A_3"]})
    tree: Content = {"usr/bin/p": program, "lib/a.so": library}
    assert lacks(tree) == {"A_3 in a.so"}
    assert lacks({**tree, "usr/bin/p": an_elf(["a.so"], wanted={"a.so": ["A_3"]}, weak=True)}) == set()
    assert lacks({**tree, "lib/a.so": an_elf(soname="a.so")}) == set()  # ld.so only warns


def test_what_is_said_of_a_library_holds_for_what_that_one_loads() -> None:
    tree: Content = {
        "usr/bin/p": an_elf(["a.so"]), "lib/a.so": an_elf(["b.so"], wanted={"b.so": ["B_1"]}),
        "lib/b.so": an_elf(defined=["B_0"]),
    }  # fmt: skip
    assert lacks(tree) == {"B_1 in b.so"}


def test_rpath_is_handed_down_and_runpath_is_not() -> None:
    libraries: Content = {"opt/l/a.so": an_elf(["b.so"]), "opt/l/b.so": an_elf()}
    assert lacks({"usr/bin/p": an_elf(["a.so"], rpath="/opt/l"), **libraries}) == set()
    assert lacks({"usr/bin/p": an_elf(["a.so"], runpath="/opt/l"), **libraries}) == {"b.so"}
    both = an_elf(["a.so"], rpath="/opt/l", runpath="/nowhere")
    assert lacks({"usr/bin/p": both, **libraries}) == {"a.so"}


@pytest.mark.parametrize("said", ["$ORIGIN/../l", "${ORIGIN}/../l", "/none:$ORIGIN/../l"])
def test_origin_is_the_folder_of_who_says_it(said: str) -> None:
    tree: Content = {"opt/bin/p": an_elf(["a.so"], runpath=said), "opt/l/a.so": an_elf()}
    assert lacks(tree, "opt/bin/p") == set()


def test_who_wants_no_default_folder_gets_none() -> None:
    tree: Content = {
        **CONF,
        "usr/bin/p": an_elf(["a.so"], default_folders=False),
        f"{LIB}/a.so": an_elf(),
    }
    assert lacks(tree) == {"a.so"}
    tree["etc/ld.so.conf.d/z.conf"] = "/opt/own\n"
    assert lacks({**tree, "opt/own/a.so": an_elf()}) == set()


def test_a_loader_that_is_gone_is_lacking_too() -> None:
    tree: Content = {"usr/bin/p": an_elf(interpreter="/lib64/ld.so.2")}
    assert lacks(tree) == {"/lib64/ld.so.2"}
    assert lacks({**tree, "lib64": "-> usr/lib64", "usr/lib64/ld.so.2": an_elf()}) == set()


def test_what_is_no_elf_file_lacks_nothing() -> None:
    for content in (
        b"",
        b"#!/bin/sh\n",
        b"\x7fELF",
        b"\x7fELF\x02\x01" + bytes(10),
        b"\x7fELF\x07" + bytes(90),
    ):
        assert Libraries(Files({"usr/bin/p": content})).lacks("usr/bin/p") == frozenset()
    assert Libraries(Files({})).lacks("usr/bin/p") == frozenset()


def test_a_big_endian_file_is_read_as_well() -> None:
    found = elf.read(_of(an_elf(["a.so"], order=">", machine=22, wanted={"a.so": ["A"]}, defined=["D"])))
    assert found is not None
    assert (found.machine, found.needed, found.wanted) == (22, ("a.so",), (("a.so", "A"),))
    assert found.defined == frozenset({"D"})


def test_the_same_libraries_are_found_as_ldd_finds() -> None:
    """On this very system, of whatever release it is."""
    libraries = Libraries(Whole(Path("/")))
    files = sorted(each for each in Path("/usr/bin").iterdir() if not each.is_symlink() and each.is_file())
    programs = [path for path in files[:: max(1, len(files) // 60)] if libraries.at(str(path))]
    assert len(programs) > 10
    for program in programs:
        found = {name: real(path) for name, path in libraries.found(str(program)).items()}
        told = ldd(program)
        assert {name: path for name, path in found.items() if name in told} == told
        assert all("ld-linux" in name or "ld-musl" in name for name in found.keys() - told.keys())


class Whole(Tree):
    """A tree of ours; a real one has no need of parts."""

    def part(self, path: str, at: int, length: int) -> bytes | None:
        place = Path("/", path)
        if place.is_symlink() or not place.is_file():
            return None
        with place.open("rb") as file:
            file.seek(at)
            return file.read(length)


def real(path: str | None) -> str | None:
    return None if path is None else os.path.realpath(f"/{path}")


def ldd(program: Path) -> dict[str, str | None]:
    try:
        said = run.run(["ldd", program]).stdout.decode()
    except CommandFailed:
        return {}  # a static one
    found = re.findall(r"^\s+(\S+) => (not found|\S+)", said, re.MULTILINE)
    return {name: None if path == "not found" else os.path.realpath(path) for name, path in found}


def _of(content: bytes) -> elf.Part:
    return lambda at, length: content[at : at + length]


HOSTILE = 0, 1, 0x7F, 0xFF, 0x80


def test_a_file_that_was_made_to_hurt_costs_no_more_than_another() -> None:
    chance = random.Random(16)
    whole = an_elf(
        ["a.so", "b.so"], soname="p", runpath="$ORIGIN", interpreter="/lib/ld.so", defined=["p", "P_1"],
        wanted={"a.so": ["A_1", "A_2"], "b.so": ["B"]},
    )  # fmt: skip
    begun = time.process_time()
    for _ in range(4000):
        spoiled = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            spoiled[chance.randrange(4, len(spoiled))] = chance.choice((*HOSTILE, chance.randrange(256)))
        libraries = Libraries(Files({"usr/bin/p": bytes(spoiled), "lib/a.so": bytes(spoiled)}))
        assert all(type(each) is Lack for each in libraries.lacks("usr/bin/p"))
    assert time.process_time() - begun < 60


def test_folders_without_end_end() -> None:
    tree: Content = {"usr/bin/p": an_elf([f"{n}.so" for n in range(900)])}
    many = "".join(f"/{number}\n" for number in range(12_000))
    tree |= {"etc/ld.so.conf": "include ld.so.conf.d/*\ninclude /etc/ld.so.conf\n"}
    tree |= {f"etc/ld.so.conf.d/{number}": many for number in range(30)}
    libraries = Libraries(Files(tree))
    assert len(libraries._configured) <= 200
    assert len(libraries.lacks("usr/bin/p")) == 900


def test_names_without_end_end() -> None:
    endless = bytearray(an_elf(["a.so"], wanted={"a.so": ["A"]}))
    far = bytes(endless) + b"x" * (1 << 20)
    assert elf.read(_of(far)) is not None
    looping = bytearray(an_elf(["a.so"] * 3000))
    assert len(getattr(elf.read(_of(bytes(looping))), "needed", ())) == 3000
    chain = {f"lib/{number}.so": an_elf([f"{number + 1}.so"]) for number in range(3000)}
    assert lacks({"usr/bin/p": an_elf(["0.so"]), **chain}) == set()  # a thousand of them were looked at
