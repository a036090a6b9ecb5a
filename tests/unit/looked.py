"""A machine's overlay over a tree, looked at in this process, for the tests of changes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from skinnybox.delta import upper_disk, whose
from skinnybox.delta.as_seeded import Expected
from skinnybox.delta.seed_marks import marked
from skinnybox.delta.telling import change_checked, change_told, facts_checked, facts_told
from skinnybox.ext4 import open_volume
from skinnybox.model import Change, Look
from tests.unit.rebased import Thing, d, f, md5
from tests.unit.rebased_disk import Model, entry, overlay, whole

Tree = Mapping[bytes, Thing]


@dataclass(frozen=True, kw_only=True)
class Looking:
    """`same` also tells what differs in nothing."""

    folder: Path
    cache: Path
    patch: pytest.MonkeyPatch

    def at(self, lower: Tree, upper: Tree, expected: Expected = upper_disk.NOTHING) -> Look:
        """What is told, through the words in which the confined process tells it."""
        tree = whole(lower)
        self.patch.setattr(whose, "opened", lambda descriptor: Model(tree))
        (self.folder / "o.img").unlink(missing_ok=True)
        disk = overlay(self.folder / "o.img", self.cache, upper)
        entries = [entry(path, thing) for path, thing in tree.items()]
        with open_volume(disk) as volume:
            found = whose.of_machine(volume, 0)
            told = upper_disk.differences(volume, entries, quick=False, expected=expected, whose=found)
            rows = [change_told(*each) for each in told]
        facts = tuple(facts_checked(iter(list(facts_told(found.facts)))))
        return Look(facts=facts, changes=marked(map(change_checked, rows), include_seed=True))

    def shown(self, lower: Tree, upper: Tree) -> dict[bytes, Change]:
        return {change.path: change for change in self.at(lower, upper).changes}


@dataclass(frozen=True)
class Deb:
    """A package, what it brings, and which of that are conffiles."""

    name: str
    version: str
    files: Mapping[str, Thing]
    conffiles: tuple[str, ...] = ()

    def tree(self) -> dict[bytes, Thing]:
        """Its files, and what dpkg keeps of it."""
        names = "".join(f"/{path}\n" for path in ("", *self.files)).replace("//", "/.")
        sums = "".join(
            f"{md5(thing.content)}  {path}\n"
            for path, thing in self.files.items()
            if thing.type == "-" and path not in self.conffiles
        )
        info = f"var/lib/dpkg/info/{self.name}"
        return {
            **{os.fsencode(path): thing for path, thing in self.files.items()},
            os.fsencode(f"{info}.list"): f(names),
            os.fsencode(f"{info}.md5sums"): f(sums),
            os.fsencode(f"{info}.postinst"): f("#!/bin/sh\n", mode=0o755),
        }

    def stanza(self, status: str = "install ok installed") -> str:
        conffiles = "".join(f" /{path} {md5(self.files[path].content)}\n" for path in self.conffiles)
        return (
            f"Package: {self.name}\nStatus: {status}\nArchitecture: all\nVersion: {self.version}\n"
            + (f"Conffiles:\n{conffiles}" if conffiles else "")
            + "\n"
        )


def deb(name: str, version: str = "1", **files: str) -> Deb:
    """One with a program and a page."""
    own = {f"usr/bin/{name}": f(f"{name} {version}", mode=0o755), f"usr/share/{name}/page": f("page" * 9)}
    return Deb(name, version, {**own, **{path: f(text) for path, text in files.items()}})


def installed(*packages: Deb) -> dict[bytes, Thing]:
    """A tree of these packages."""
    found: dict[bytes, Thing] = {}
    for package in packages:
        found |= package.tree()
    status = "".join(package.stanza() for package in packages)
    return {**found, b"var/lib/dpkg/status": f(status), b"etc": d(), b"usr": d(), b"var/lib": d()}


def passwd(*users: str) -> Thing:
    lines = ["root:x:0:0::/root:/bin/sh", *(f"{u}:x:{1000 + i}:100::/:/bin/sh" for i, u in enumerate(users))]
    return f("".join(f"{line}\n" for line in lines))
