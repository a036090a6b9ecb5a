"""Random machines put on another release by a replay, on real disks: what is seen before packages are
installed again is what docs/how-to/rebase.md says of it, rule by rule."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skinnybox.delta.rebase import replay
from skinnybox.delta.rebase.rules import Policy
from tests.unit.rebased import WHITEOUT, Thing, a_system, f, l, md5
from tests.unit.rebased_disk import Rebase, cache, overlay, without_confinement

__all__ = ["cache"]

BASE = ("usr/bin/a", "usr/share/b", "lib/s", "etc/x", "etc/d/y")
OWN = ("usr/bin/p", "usr/share/own/q", "etc/own/c", "etc/own/k")
FREE = ("srv/m", "usr/local/bin/n", "usr/share/stray", "etc/free", "opt/o")
LINKS = ("etc/on/1", "etc/on/2", "srv/on/3", "usr/share/on/4")
STATUS, INFO = "var/lib/dpkg/status", "var/lib/dpkg/info"
MINE = "mine\n"
Files = dict[str, str]


@dataclass(kw_only=True)
class Case:
    """`brought` is what the machine's own packages, `own` and an upgraded `base`, have in it; `upper` what it
    wrote: None for what it deleted of its master. `links` lead somewhere, from the root."""

    old: Files
    new: Files
    installed: bool
    upgraded: bool
    brought: Files = field(default_factory=dict)
    upper: dict[str, str | None] = field(default_factory=dict)
    links: Files = field(default_factory=dict)


CONTENT = st.sampled_from(("1\n", "2\n"))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    new = draw(st.dictionaries(st.sampled_from(BASE), CONTENT)) | draw(
        st.dictionaries(st.sampled_from(OWN + FREE), CONTENT, max_size=2)
    )
    case = Case(
        old=draw(st.dictionaries(st.sampled_from(BASE), CONTENT)),
        new=new,
        installed=draw(st.booleans()),
        upgraded=draw(st.booleans()),
    )
    for path in (BASE if case.upgraded else ()) + (OWN if case.installed else ()):
        if draw(st.booleans()):
            case.brought[path] = case.upper[path] = "3\n"
    for path in BASE + OWN:
        known = path in case.old or path in case.brought
        match draw(st.sampled_from(("as it is", "altered", "deleted"))) if known else "":
            case "altered":
                case.upper[path] = MINE
            case "deleted" if path in case.old:
                case.upper[path] = None
            case "deleted":
                del case.upper[path]
    for path in draw(st.lists(st.sampled_from(FREE), unique=True)):
        case.upper[path] = MINE
    case.links = draw(
        st.dictionaries(st.sampled_from(LINKS), st.sampled_from((*BASE, *OWN, *FREE, "srv/no")))
    )
    return case


class Expected:
    """What docs/how-to/rebase.md, "Onto the next release", says of each path."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.files = {
            path: text for path in {*case.upper, *case.new} if (text := self._file(path)) is not None
        }
        self.links = {path: to for path, to in case.links.items() if not self._goes(path, to)}

    def _file(self, path: str) -> str | None:
        case, theirs = self.case, self.case.new.get(path)
        if path not in case.upper or self._is_as_brought(path):
            return theirs  # "The system is the new master's"; "what nobody altered goes"
        if path.startswith("etc/"):
            return case.upper[path]  # "What you configured stays"
        systems = path.startswith(("usr/", "lib/")) and not path.startswith("usr/local/")
        if systems and (path in case.old or path in case.new):
            return theirs  # "what you altered of packages' files below /usr is the new master's"
        return case.upper[path]  # "all else that no package brought"

    def _is_as_brought(self, path: str) -> bool:
        return path in self.case.brought and self.case.upper[path] == self.case.brought[path]

    def _goes(self, path: str, to: str) -> bool:
        """ "so do links in /etc that lead to it": to what was there, and is no more."""
        there = to in self.case.upper if self.case.upper.get(to, "") is not None else False
        there = there or (to in self.case.old and to not in self.case.upper)
        return path.startswith("etc/") and there and to not in self.files


def _md5s(files: Mapping[str, str]) -> str:
    return "".join(f"{md5(text.encode())}  {path}\n" for path, text in files.items() if path[:4] != "etc/")


def _stanza(name: str, version: str, files: Mapping[str, str]) -> str:
    told = "".join(f" /{path} {md5(text.encode())}\n" for path, text in files.items() if path[:4] == "etc/")
    conffiles = f"Conffiles:\n{told}" if told else ""
    head = f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
    return f"{head}{conffiles}\n"


def _list(files: Mapping[str, str]) -> Thing:
    return f("".join(f"/{path}\n" for path in files))


def _database(case: Case) -> dict[str, Thing]:
    """As the machine's dpkg wrote it."""
    own = {path: text for path, text in case.brought.items() if path in OWN}
    base = case.old | {path: text for path, text in case.brought.items() if path in BASE}
    if not case.installed and not case.upgraded:
        return {}
    status = _stanza("base", "1.5" if case.upgraded else "1", base)
    found: dict[str, Thing] = {}
    if case.upgraded:
        found |= {f"{INFO}/base.list": _list(base), f"{INFO}/base.md5sums": f(_md5s(base))}
    if case.installed:
        status += _stanza("own", "1", own)
        found |= {f"{INFO}/own.list": _list(own), f"{INFO}/own.md5sums": f(_md5s(own))}
    return found | {STATUS: f(status)}


def _master(files: Files, version: str) -> dict[bytes, Thing]:
    found = {path: f(text) for path, text in files.items()}
    found |= {STATUS: f(_stanza("base", version, files)), f"{INFO}/base.list": _list(files)}
    return {path.encode(): thing for path, thing in found.items()}


def _upper(case: Case) -> dict[bytes, Thing]:
    found = {path: WHITEOUT if text is None else f(text) for path, text in case.upper.items()}
    found |= {path: l(f"/{to}") for path, to in case.links.items()} | _database(case)
    return {path.encode(): thing for path, thing in found.items()}


def _seen(upper: Mapping[bytes, Thing], new: Mapping[bytes, Thing]) -> dict[str, Thing]:
    """Files and links; nothing here hides a folder."""
    both = {path.decode(): thing for path, thing in {**new, **upper}.items()}
    return {path: thing for path, thing in both.items() if thing.type in "-l"}


def _rebased(
    case: Case, folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Files, Files, Files]:
    """What is seen of its files and links, and what is to be made again."""
    disk = overlay(folder / "old.img", cache, _upper(case))
    new = _master(case.new, "2")
    rebase = Rebase(
        folder, monkeypatch, Policy(replay=True), (a_system("base=1"), replace(a_system("base=2"),
        release={"id": "debian", "version_id": "13"})),
        ({"base:amd64": tuple(case.old)}, {"base:amd64": tuple(case.new)}),
    )  # fmt: skip
    after, told = rebase.of(disk, _master(case.old, "1"), new)
    assert len(told) == 3, told
    assert INFO.encode() + b"/own.list" not in after and STATUS.encode() not in after
    seen = _seen(after, new)
    files = {path: t.content.decode() for path, t in seen.items() if t.type == "-" and path[:4] != "var/"}
    links = {path: t.content.decode()[1:] for path, t in seen.items() if t.type == "l"}
    return files, links, dict(replay.checked(told[2][4]).links)


@pytest.mark.parametrize(
    "examples", [8, pytest.param(1000, marks=[pytest.mark.full, pytest.mark.timeout(7200)])]
)
def test_a_machine_is_what_the_docs_say(examples: int, cache: Path) -> None:
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), deadline=None)
    @given(case=cases())
    def holds(case: Case) -> None:
        with pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as folder:
            without_confinement(monkeypatch)
            files, links, again = _rebased(case, Path(folder), cache, monkeypatch)
        wanted = Expected(case)
        assert files == wanted.files, case
        # One whose target stays, though its package goes, may go too where it is made again.
        assert {**again, **links}.keys() >= wanted.links.keys(), case
        assert links.items() <= wanted.links.items(), case
        assert {path: to[1:] for path, to in again.items()}.items() <= case.links.items(), case

    holds()
