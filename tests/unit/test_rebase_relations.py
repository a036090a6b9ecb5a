"""Whether the packages that are there afterwards go together."""

from dataclasses import replace

import pytest

from skinnybox.delta.rebase.packages import settled, versions
from skinnybox.delta.rebase.relations import Relation, decisions, related
from skinnybox.masters.system.source import Notes
from skinnybox.masters.system.values import INSTALLED, Package, System
from tests.unit.rebased import a_system


class Database:
    """A source that has nothing but a status file."""

    def __init__(self, *packages: str) -> None:
        """NAME=VERSION, and fields behind it, by semicolons."""
        self.names_and_versions = [package.partition(";")[0] for package in packages]
        self.text = "".join(map(_stanza, packages))

    def names(self, folder: str) -> list[str]:
        return []

    def links(self, folder: str) -> dict[str, str]:
        return {}

    def read(self, path: str, limit: int) -> bytes | None:
        return self.text.encode()[:limit] if path == "var/lib/dpkg/status" else None


def _stanza(said: str) -> str:
    first, *fields = said.split(";")
    name, version = first.split("=")
    more = "".join(f"{field.strip()}\n" for field in fields)
    head = f"Package: {name}\nStatus: install ok installed\nVersion: {version}\nArchitecture: amd64\n"
    return f"{head}{more}\n"


def _told(old: Database, new: Database, machine: Database) -> list[str]:
    systems = [a_system(*side.names_and_versions) for side in (old, new, machine)]
    packages = {each.name: settled(each) for each in versions(systems[0], systems[1], systems[2])}
    theirs, mine = (related(side, Notes()) for side in (new, machine))
    return [each.detail.partition(";")[0] for each in decisions(packages, theirs, mine)]


def _of_two(*packages: tuple[str, str]) -> tuple[System, Database]:
    """One package by architecture and version, and its database."""
    text = "".join(
        f"Package: lib\nStatus: {INSTALLED}\nVersion: {version}\nArchitecture: {where}\nMulti-Arch: same\n\n"
        for where, version in packages
    )
    database = Database()
    database.text = text
    every = tuple(
        Package(name="lib", version=version, architecture=where, status=INSTALLED)
        for where, version in packages
    )
    return replace(a_system(), packages=every), database


@pytest.mark.parametrize(("new", "told"), [("2", 1), ("1", 0)])
def test_a_library_of_two_architectures_has_one_version(new: str, told: int) -> None:
    """dpkg refuses another, and so the machine's own of a foreign architecture cannot stay behind."""
    sides = [_of_two(("amd64", "1")), _of_two(("amd64", new)), _of_two(("amd64", "1"), ("i386", "1"))]
    packages = {each.name: settled(each) for each in versions(*(system for system, _ in sides))}
    theirs, mine = (related(side, Notes()) for _, side in sides[1:])
    found = [each.detail for each in decisions(packages, theirs, mine)]
    assert len(found) == told and all("of the master's, which is 2; upgrade both" in each for each in found)


@pytest.mark.parametrize(
    ("needs", "new", "missing"),
    [
        ("Depends: lib", "lib=2", None),
        ("Depends: lib (<< 2)", "lib=2", "lib (<< 2)"),
        ("Depends: lib (= 1)", "lib=2", "lib (= 1)"),
        ("Depends: lib:any (<= 2), lib (= 1) | lib (= 2)", "lib=2", None),
        ("Pre-Depends: lib", "other=1", "lib"),
        ("Depends: lib | other (>> 1)", "other=1", "lib | other (>> 1)"),
        ("Depends: lib | other", "other=1", None),
        ("Depends: lib", "libt64=2; Provides: lib (= 2), x", None),
        ("Depends: lib (= 1)", "libt64=2; Provides: lib", "lib (= 1)"),
        ("Depends: lib (<< 2)", "libt64=1; Provides: lib (= 1)", None),
    ],
)
def test_what_a_machines_own_package_needs(needs: str, new: str, missing: str | None) -> None:
    found = _told(Database("lib=1"), Database(new), Database("lib=1", f"own=1; {needs}"))
    assert found == ([f"own 1 needs {missing}, which would not be there"] if missing else [])


def test_a_renamed_library_that_cannot_stand_the_old_one() -> None:
    """T7: Debian's t64."""
    old, machine = Database("libssl3=1"), Database("libssl3=2")
    new = Database("libssl3t64=3; Breaks: libssl3 (<< 3); Replaces: libssl3")
    assert _told(old, new, machine) == [
        "libssl3t64 3 does not go together with libssl3, which would be there"
    ]
    assert _told(old, new, old) == []


def test_what_is_provided_by_two_that_conflict() -> None:
    mta = "Provides: mta; Conflicts: mta"
    found = _told(Database(), Database(f"exim=1; {mta}"), Database(f"postfix=1; {mta}"))
    assert found == [
        "exim 1 does not go together with postfix, which would be there",
        "postfix 1 does not go together with exim, which would be there",
    ]


def test_what_the_machine_removed_and_a_new_package_needs() -> None:
    old = Database("lib=1")
    new = Database("lib=1", "redis=7; Depends: lib")
    assert _told(old, new, Database()) == ["redis 7 needs lib, which would not be there"]


def test_what_was_not_in_order_before_is_no_matter_of_this() -> None:
    broken = "own=1; Depends: nothing; Breaks: lib"
    assert _told(Database("lib=1"), Database("lib=2"), Database("lib=1", broken)) == []
    assert _told(Database(), Database("x=1; Depends: nothing"), Database("own=1")) == []


@pytest.mark.parametrize(
    ("relation", "version", "holds"),
    [
        (Relation("x"), "0", True),
        (Relation("x", ">=", "1:1"), "2", False),
        (Relation("x", "<", "1"), "1", True),
        (Relation("x", ">", "1"), "1", True),
        (Relation("x", "=", "1.0-1"), "1.0-1", True),
        (Relation("x", "=", "1.0"), "1.00", True),
        (Relation("x", ">>", "1~rc1"), "1", True),
    ],
)
def test_versions(relation: Relation, version: str, holds: bool) -> None:
    assert relation.holds(version) is holds


def test_a_database_made_to_hurt_is_read_in_bounds() -> None:
    text = "own=1; Depends: " + ", ".join(["a (= " + "9" * 5000 + ")", "b" * 5000, "| , |", "c ("] * 3000)
    (found,) = related(Database(text), Notes()).values()
    assert len(found.needs) <= 500
    (other,) = related(Database("own=" + "9" * 5000), Notes()).values()
    assert Relation("own", ">=", "1").holds(other.version)
