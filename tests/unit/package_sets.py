"""Random sets of packages on two masters, and in a machine whose dpkg and apt installed, removed and held
some of them: what those tools leave, in a few lines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hypothesis import strategies as st

from tests.unit.rebased import md5

NAMES, VERSIONS = "pqr", "123"
STATUS, INFO, MARKS = "var/lib/dpkg/status", "var/lib/dpkg/info", "var/lib/apt/extended_states"
ALIKE, MINE = "alike\n", "mine\n"
PLACES = ("usr/bin/{}", "usr/lib/{}.so", "usr/share/{}")
Tree = dict[str, str]
"""Content by path."""


class Build(NamedTuple):
    """One version of a package: its files, and its conffile where it has one."""

    files: Tree
    conffile: Tree

    @property
    def all(self) -> Tree:
        return self.files | self.conffile


Archive = Mapping[tuple[str, str], Build]


class Entry(NamedTuple):
    """What dpkg says of a package. `configured` is told where it is not `version`."""

    want: str
    came: str
    version: str
    configured: str | None = None


@dataclass
class State:
    """A system as its dpkg and apt keep it. `conffiles` are the digests that dpkg knows settings by."""

    status: dict[str, Entry] = field(default_factory=dict)
    conffiles: dict[str, Tree] = field(default_factory=dict)
    automatic: set[str] = field(default_factory=set)
    files: Tree = field(default_factory=dict)
    written: set[str] = field(default_factory=set)

    def version(self, name: str) -> str | None:
        entry = self.status.get(name)
        return entry.version if entry is not None and entry.came == "installed" else None

    def write(self, path: str, content: str) -> None:
        self.files[path] = content
        self.written.add(path)

    def install(self, archive: Archive, name: str, version: str, automatic: bool) -> None:
        """As `apt-get install`, with --force-confold; what is on hold stays."""
        if self.version(name) == version or self._is_held(name):
            return
        before, build = self.version(name), archive[name, version]
        known = self.conffiles.get(name, {})
        if before is None:
            self.automatic = self.automatic - {name} | ({name} if automatic else set())
        else:
            for path in archive[name, before].files:
                self.files.pop(path, None)
        for path, content in build.files.items():
            self.write(path, content)
        for path, content in build.conffile.items():
            there = self.files.get(path)
            if path not in known or (there is not None and md5(there.encode()) == known[path]):
                self.write(path, content)
        self.conffiles[name] = {path: md5(content.encode()) for path, content in build.conffile.items()}
        self.status[name] = Entry("install", "installed", version)
        self._info(name, build)

    def _info(self, name: str, build: Build) -> None:
        self.write(f"{INFO}/{name}.list", "".join(f"/{path}\n" for path in build.all))
        sums = "".join(f"{md5(content.encode())}  {path}\n" for path, content in build.files.items())
        self.write(f"{INFO}/{name}.md5sums", sums)

    def remove(self, archive: Archive, name: str, purge: bool) -> None:
        version = self.version(name)
        if self._is_held(name) or name not in self.status:
            return
        build = Build({}, {})
        if version is not None:
            build = archive[name, version]
            self.automatic.discard(name)
        for path in (*build.files, f"{INFO}/{name}.md5sums"):
            self.files.pop(path, None)
        if self.conffiles[name] and not purge:
            self.status[name] = self.status[name]._replace(want="deinstall", came="config-files")
            self.write(f"{INFO}/{name}.list", "".join(f"/{path}\n" for path in self.conffiles[name]))
            return
        for path in (*self.conffiles.pop(name), f"{INFO}/{name}.list"):
            self.files.pop(path, None)
        del self.status[name]

    def hold(self, name: str) -> None:
        if self.version(name) is not None:
            self.status[name] = self.status[name]._replace(want="hold")

    def mark(self, name: str, automatic: bool) -> None:
        if self.version(name) is not None:
            self.automatic = self.automatic - {name} | ({name} if automatic else set())

    def edit(self, name: str, content: str | None) -> None:
        """Somebody edits its settings, or deletes them."""
        for path in self.conffiles.get(name, {}):
            if path in self.files and content is None:
                del self.files[path]
            elif path in self.files and content is not None:
                self.write(path, content)

    def _is_held(self, name: str) -> bool:
        return name in self.status and self.status[name].want == "hold"

    def records(self) -> Tree:
        """Its databases."""
        stanzas = (self._stanza(name, entry) for name, entry in self.status.items())
        marks = (f"Package: {n}\nArchitecture: amd64\nAuto-Installed: 1\n\n" for n in sorted(self.automatic))
        return {STATUS: "".join(stanzas), MARKS: "".join(marks)}

    def _stanza(self, name: str, entry: Entry) -> str:
        told = "".join(f" /{path} {digest}\n" for path, digest in self.conffiles.get(name, {}).items())
        conffiles = f"Conffiles:\n{told}" if told else ""
        return (
            f"Package: {name}\nStatus: {entry.want} ok {entry.came}\nArchitecture: amd64\n"
            f"Version: {entry.version}\n{conffiles}Description: {name}\n\n"
        )


@dataclass(frozen=True, kw_only=True)
class Case:
    archive: Archive
    old: State
    new: State
    machine: State


@st.composite
def builds(draw: st.DrawFn) -> Archive:
    """Settings are in all versions of a package, or in none: what dpkg does with others is no matter."""
    found = {}
    for name in NAMES:
        has = draw(st.booleans())
        for version in VERSIONS:
            places = draw(st.sets(st.sampled_from(PLACES), min_size=1))
            files = {
                place.format(name): ALIKE if "share" in place else f"{name} {version} {place}\n"
                for place in sorted(places)
            }
            setting = draw(st.sampled_from(("1\n", "2\n")))
            found[name, version] = Build(files, {f"etc/{name}.conf": setting} if has else {})
    return found


def a_master(draw: st.DrawFn, archive: Archive) -> State:
    made = State(files={"usr/bin/sh": "sh", "usr/lib/c.so": "c", "usr/share/x": "x", "etc/issue": "i"})
    wanted = st.dictionaries(st.sampled_from(NAMES), st.tuples(st.sampled_from(VERSIONS), st.booleans()))
    for name, (version, automatic) in sorted(draw(wanted).items()):
        made.install(archive, name, version, automatic)
    made.files |= made.records()
    return made


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(("install", "install", "remove", "purge", "hold", "mark", "edit", "delete")),
        st.sampled_from(NAMES),
        st.sampled_from(VERSIONS),
        st.booleans(),
    ),
    max_size=7,
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    archive = draw(builds())
    old, new = a_master(draw, archive), a_master(draw, archive)
    machine = State(
        status=dict(old.status), conffiles={name: dict(known) for name, known in old.conffiles.items()},
        automatic=set(old.automatic), files=dict(old.files),
    )  # fmt: skip
    actions = draw(ACTIONS)
    for what, name, version, flag in actions:
        match what:
            case "install":
                machine.install(archive, name, version, flag)
            case "remove" | "purge":
                machine.remove(archive, name, what == "purge")
            case "hold":
                machine.hold(name)
            case "mark":
                machine.mark(name, flag)
            case "edit" | "delete":
                machine.edit(name, MINE if what == "edit" else None)
    for path, content in machine.records().items():
        if content != machine.files[path]:
            machine.write(path, content)
    return Case(archive=archive, old=old, new=new, machine=machine)
