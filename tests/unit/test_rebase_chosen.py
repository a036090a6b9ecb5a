"""What somebody chose in a machine of what the new master has no more: the table of docs/explanation/
rebase.md."""

from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.delta.rebase import chosen, packages, services
from skinnybox.delta.rebase.owners import Owned
from skinnybox.delta.rebase.records import Sides
from skinnybox.delta.rebase.rules import Choice, Policy
from skinnybox.delta.rebase.values import Decision, Fate
from skinnybox.masters.system import dpkg
from skinnybox.masters.system.source import Notes
from skinnybox.masters.system.units import units
from tests.unit.rebased import a_package, a_system, d, f, l
from tests.unit.rebased_disk import Rebase, cache, overlay, without_confinement
from tests.unit.recorded import Tree, after, sides

__all__ = ["cache"]
UNITS, ETC = "usr/lib/systemd/system", "etc/systemd/system"
WANTED, INSTANCE = (f"{ETC}/multi-user.target.wants/{name}.service" for name in ("x", "x@1"))
DB, CHOSEN = "var/lib/dpkg/alternatives/editor", "etc/alternatives/editor"
OVERRIDES, DIVERSIONS = "var/lib/dpkg/statoverride", "var/lib/dpkg/diversions"


def editors(*names: str, mode: str = "auto") -> bytes:
    choices = "".join(f"/usr/bin/{name}\n10\n" for name in names)
    return f"{mode}\n/usr/bin/editor\n\n{choices}\n".encode()


NEW: Tree = {
    "usr/bin/ed": b"", "usr/bin/editor": f"/{CHOSEN}", DB: editors("ed"), CHOSEN: "/usr/bin/ed",
    f"{UNITS}/y.service": b"",
}  # fmt: skip
OLD: Tree = {
    **NEW, "usr/bin/tool": b"", "usr/bin/vim": b"", DB: editors("ed", "vim"), f"{UNITS}/x.service": b"",
    f"{UNITS}/x@.service": b"",
}  # fmt: skip
UNIT, EDITOR = "service x.service", "alternative editor"
TABLE: dict[str, tuple[Tree, str | None, Tree]] = {
    "a service enabled": ({WANTED: f"/{UNITS}/x.service"}, f"{UNIT}: stop", {WANTED: f"/{UNITS}/x.service"}),
    "an instance of one enabled": (
        {INSTANCE: "/x"}, "service x@1.service: stop", {INSTANCE: "/x"}
    ),
    "an alternative chosen": (
        {DB: editors("ed", "vim", mode="manual"), CHOSEN: "/usr/bin/vim"}, f"{EDITOR}: take",
        {CHOSEN: "/usr/bin/ed"},
    ),
    "an alternative chosen that is there": (
        {DB: editors("ed", "vim", mode="manual"), CHOSEN: "/usr/bin/ed"}, None, {CHOSEN: "/usr/bin/ed"}
    ),
    "a service masked": ({f"{ETC}/x.service": "/dev/null"}, None, {f"{ETC}/x.service": "/dev/null"}),
    "settings of a service": ({f"{ETC}/x.service.d/a.conf": b"a"}, None, {f"{ETC}/x.service.d/a.conf": b"a"}),
    "a service of its own enabled": (
        {WANTED: "/x", f"{ETC}/x.service": b"own"}, None, {WANTED: "/x", f"{ETC}/x.service": b"own"}
    ),
    "another one enabled": ({WANTED.replace("x.", "y."): "/y"}, None, {WANTED.replace("x.", "y."): "/y"}),
    "a mode of its own": (
        {OVERRIDES: b"root root 4755 /usr/bin/tool\n"}, None, {OVERRIDES: b"root root 4755 /usr/bin/tool\n"}
    ),
    "a file diverted": (
        {DIVERSIONS: b"/usr/bin/tool\n/usr/bin/tool.own\n:\n", "usr/bin/tool.own": b""}, None,
        {DIVERSIONS: b"/usr/bin/tool\n/usr/bin/tool.own\n:\n", "usr/bin/tool.own": b""},
    ),
}  # fmt: skip


def decided(given: Sides, policy: Policy) -> list[Decision]:
    three = [
        replace(
            a_system(),
            units=tuple(units(side, Notes())),
            alternatives=tuple(dpkg.alternatives(side, Notes())),
        )
        for side in (given.old, given.new, given.machine)
    ]
    wants = services.wants(three[0]), services.wants(three[1]), services.wants(three[2])
    settled = given.packages, given.owners
    return list(chosen.decisions((given.old, given.new, given.machine), wants, three[0], settled, policy))


@pytest.mark.parametrize("what", TABLE)
def test_it_is_asked_about_or_goes_on_saying_what_it_said(what: str) -> None:
    upper, wanted, left = TABLE[what]
    given = sides(OLD, NEW, upper, packages={})
    for choice in (Choice.MERGE, Choice.FAIL, Choice.OURS, Choice.THEIRS):
        asked = choice in (Choice.MERGE, Choice.FAIL)
        found = [
            f"{each.subject} {each.name}: {each.fate} {each.standing}"
            for each in decided(given, Policy(on_conflict=choice))
        ]
        said = (wanted or "").partition(": ")
        then = f"{said[0]}: ask conflict" if asked else f"{said[0]}: {said[2]} clean"
        assert found == ([] if wanted is None else [then])
    assert left.items() <= after(given).items()
    assert decided(sides(OLD, OLD, upper, packages={}), Policy()) == []  # it is there


def test_nobody_asks_about_what_the_master_chose() -> None:
    manual: Tree = {
        DB: editors("ed", "vim", mode="manual"),
        CHOSEN: "/usr/bin/vim",
        WANTED: f"/{UNITS}/x.service",
    }
    given = sides(
        {**OLD, **manual}, NEW, {"etc/own": b"", "etc/alternatives/other": "/usr/bin/ed"}, packages={}
    )
    assert decided(given, Policy()) == []


@pytest.mark.parametrize(("path", "what"), [(WANTED, "a service enabled"), (CHOSEN, "an alternative chosen")])
def test_who_spoke_of_the_path_is_not_asked(path: str, what: str) -> None:
    given = sides(OLD, NEW, TABLE[what][0], packages={})
    for policy in (Policy(take=(f"/{path}",)), Policy(pin=(f"/{path}",))):
        (found,) = decided(given, policy)
        assert found.standing == "clean" and "gone" in found.detail


def test_what_a_package_on_hold_needs_is_there() -> None:
    """Its unit and its alternative stay with it: one question, not three."""
    held = a_system(a_package("p", status="hold ok installed"))
    (version,) = packages.versions(a_system("p=1"), a_system(), held)
    for fate, asked in ((Fate.KEEP, 0), (Fate.ASK, 0), (Fate.TAKE, 1)):
        settled = {"p": packages.settled(version, fate)}
        owned = {f"{UNITS}/x.service".encode(): Owned(package=settled["p"], old=True, machine=True)}
        given = sides(OLD, NEW, TABLE["a service enabled"][0], packages=settled, owners=owned)
        assert len(decided(given, Policy())) == asked


@pytest.mark.parametrize(
    ("policy", "done"),
    [
        (Policy(), False), (Policy(on_conflict=Choice.THEIRS), True), (Policy(on_conflict=Choice.OURS), True),
        (Policy(pin=(f"/{WANTED}",)), False), (Policy(pin=(f"/{WANTED}", f"/{CHOSEN}")), True),
        (Policy(take=(f"/{WANTED}", f"/{CHOSEN}")), True),
    ],
)  # fmt: skip
def test_a_whole_rebase_waits_for_an_answer(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, policy: Policy, done: bool
) -> None:
    """With it the link stays, unless that is taken."""
    without_confinement(monkeypatch)
    upper = {
        b"etc/systemd": d(), WANTED.encode(): l(f"/{UNITS}/x.service"), CHOSEN.encode(): l("/usr/bin/vim"),
        DB.encode(): f(editors("ed", "vim", mode="manual").decode()),
    }  # fmt: skip
    disk = overlay(tmp_path / "old.img", cache, upper)
    old, new = (
        {
            path.encode(): l(said) if isinstance(said, str) else f((said or b"").decode())
            for path, said in tree.items()
        }
        for tree in (OLD, NEW)
    )
    found, told = Rebase(tmp_path, monkeypatch, policy=policy).of(disk, old, new)
    assert (len(told) == 3) is done
    if done:
        assert (WANTED.encode() in found) is (not policy.take)
