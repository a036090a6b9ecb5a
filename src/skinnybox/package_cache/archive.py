"""The packages that one master's machines need beside it: which, and the files of them."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from skinnybox.errors import Blocked, CommandFailed, Corrupt
from skinnybox.masters.workspace import at_work, no_space
from skinnybox.operation import Operation
from skinnybox.package_cache import private
from skinnybox.package_cache.apt import Apt
from skinnybox.package_cache.names import checked
from skinnybox.package_cache.reading import trusted

_URI = re.compile(r"'[^']*' (\S+) (\d+) ?(?:(\w+):([0-9a-f]+))?")
_NOT_THERE = (
    re.compile(r"E: Unable to locate package (\S+)"),
    re.compile(r"E: Package '([^']+)' has no installation candidate"),
    re.compile(r"E: Couldn't find any package by (?:glob|regex) '([^']+)'"),
    re.compile(r"E: Version '[^']*' for '([^']+)' was not found"),
)
_REMOVES = re.compile(r"^(?:Remv|Purg) (\S+) ", re.MULTILINE)
_ABOUT = re.compile(r"^(?:E: | (?=\S+ : ))(.*)$", re.MULTILINE)
_TOLD, _MOST_ANSWERS = 10, 50
_INSTALL = ("-y", "install", "--")
_UNFIT = re.compile(r"^(?:Filename|Phased-Update-Percentage): .*\n", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One that is to be fetched: `name` with its architecture, `file` as apt calls it, `size` in bytes."""

    name: str
    version: str
    file: str
    size: int

    @property
    def plain(self) -> str:
        """As a file whose name means the same in an address: the colon of a version is an escape in apt's."""
        return self.file.replace("%", "_")


class Archive:
    """Of one master, for as long as its folder is there. Names are a stranger's. Thread-safe."""

    def __init__(self, folder: Path, prepared: private.Prepared) -> None:
        self._folder = folder
        self._prepared = prepared
        self._apt = Apt(prepared.configuration)
        self._known: frozenset[str] | None = None
        self._answers: dict[tuple[str, ...], tuple[int, str]] = {}
        self._lock = Lock()

    def missing(self, wanted: Sequence[str], operation: Operation) -> list[str]:
        """Those of them that the release does not have."""
        with self._lock:
            self._update(operation)
            return self._missing(checked(wanted), operation)

    def recommended(
        self, wanted: Sequence[str], had: Sequence[str], removed: Sequence[str], operation: Operation
    ) -> list[str]:
        """Those that a machine `had`, and that what is wanted recommends: with all that a release recommends
        another program may listen, and without any of it one that was relied on would be gone."""
        with self._lock:
            self._update(operation)
            words = self._words(wanted, removed, operation)
            full = self._resolved(words, operation, recommends=True)
            plain = self._resolved(words, operation)
            found = {each.name.partition(":")[0] for each in {*full} - {*plain}}
            return [name for name in checked(had) if name in found]

    def fetched(
        self, wanted: Sequence[str], removed: Sequence[str], folder: Path, operation: Operation
    ) -> int:
        """Put the packages that these need beside the master into an empty `folder`, with a list of them that
        apt takes for a repository's; their bytes. `removed` are those of the master's that go; what it does
        not have is passed over. What was fetched before is not fetched again.

        Raises Blocked for what the release does not have, or what does not go together; NoSpace;
        CommandFailed with apt's own words."""
        with self._lock:
            self._update(operation)
            words = self._words(wanted, removed, operation)
            self._refuse_removals(words, removed, operation)
            found = self._resolved(words, operation)
            self._download(words, found, operation)
            return self._laid_out(found, folder, operation)

    def _update(self, operation: Operation) -> frozenset[str]:
        """The names that apt knows then."""
        if self._known is None:
            operation.step(task="packages", detail="apt-get update")
            for note in self._prepared.notes:
                operation.note(note)
            update = ["apt-get", "-q", "-o", "APT::Update::Error-Mode=any", "update"]
            self._apt.fetch(update, lambda name: None, operation)
            self._answers.clear()
            names = ["apt-cache", "-o", "APT::Cache::AllNames=true", "pkgnames"]
            self._known = frozenset(self._apt.told(names, operation).split())
        return self._known

    def _words(self, wanted: Sequence[str], removed: Sequence[str], operation: Operation) -> list[str]:
        """Of what apt does not know exactly so, it takes NAME- for a removal, and N.ME for a pattern."""
        wanted = checked(wanted)
        if missing := self._missing(wanted, operation):
            raise Blocked(
                f"the new release has no {', '.join(missing[:_TOLD])}"
                + (f" and {len(missing) - _TOLD} more" if len(missing) > _TOLD else ""),
                hint="--instead OLD=NEW names what takes its place, --without NAME leaves it out",
            )
        installed = self._prepared.installed
        return [*wanted, *(f"{name}-" for name in checked(removed) if name in installed)]

    def _missing(self, wanted: Sequence[str], operation: Operation) -> list[str]:
        """apt names them all at once, but for those that others only mention: these one after the other."""
        known = self._update(operation)
        left, found = [name for name in wanted if name in known], {*wanted} - known
        while left:
            _, said = self._asked(["apt-get", "-q", "--print-uris", *_INSTALL, *left], operation)
            gone = {name.partition(":")[0] for pattern in _NOT_THERE for name in pattern.findall(said)}
            if not gone.intersection(left):
                break
            found |= gone
            left = [name for name in left if name not in gone]
        return [name for name in wanted if name in found]

    def _refuse_removals(self, words: Sequence[str], removed: Sequence[str], operation: Operation) -> None:
        """What else would go: the master's, which nobody in the machine ever did without."""
        _, said = self._asked(["apt-get", "-q", "-s", *_INSTALL, *words], operation)
        gone = [name for name in _REMOVES.findall(said) if name not in removed]
        if gone:
            raise Blocked(
                f"{', '.join(gone[:_TOLD])} of the new master would have to go for what the machine had",
                hint="--without NAME leaves out what is installed, or removed, again",
            )

    def _resolved(
        self, words: Sequence[str], operation: Operation, *, recommends: bool = False
    ) -> list[Package]:
        """Also what was fetched before: apt names what it does not find in its folder."""
        nothing = ["-o", "Dir::Cache::archives=nothing/", "-o", f"APT::Install-Recommends={recommends}"]
        asked = ["apt-get", *nothing, "-qq", "--print-uris", *_INSTALL, *words]
        code, said = self._asked(asked, operation)
        if code:
            told = "; ".join(each.strip() for each in _ABOUT.findall(said)[:_TOLD])
            raise Blocked(
                f"the new release cannot have them together: {told or 'apt does not say why'}",
                hint="--without NAME leaves one out, --instead OLD=NEW names what takes its place",
            )
        return [_package(line) for line in said.splitlines() if line.startswith("'")]

    def _asked(self, words: Sequence[str], operation: Operation) -> tuple[int, str]:
        """Once: apt says the same as long as its lists do, and machines of a rollout ask the same."""
        key = tuple(words)
        if key not in self._answers:
            if len(self._answers) >= _MOST_ANSWERS:
                self._answers.clear()
            self._answers[key] = self._apt.judged(words, operation)
        return self._answers[key]

    def _download(self, words: Sequence[str], found: Sequence[Package], operation: Operation) -> None:
        if all(_size(self._cached(each)) == each.size for each in found):
            return
        total, done = len(found), 0

        def heard(name: str) -> None:
            nonlocal done
            done = min(done + 1, total)
            operation.step(task="packages", done=done, total=total, unit="packages", detail=name)

        try:
            self._apt.fetch(["apt-get", "--download-only", *_INSTALL, *words], heard, operation)
        except CommandFailed:
            self._known = None  # a mirror has moved on since: its lists are fetched anew for the next
            raise

    def _cached(self, package: Package) -> Path:
        return self._folder / "cache/archives" / package.file

    def _laid_out(self, found: Sequence[Package], folder: Path, operation: Operation) -> int:
        """Each as apt's list says that it is: what lay there before may be of a call that was killed."""
        stanzas = self._stanzas(found, operation)
        total = 0
        with (folder / "Packages").open("w", encoding="utf-8") as index:
            for each in found:
                operation.check("packages")
                source = self._cached(each)
                digest = _digest(source)
                wanted = (
                    stanza for stanza in stanzas[each.name, each.version] if digest and digest in stanza
                )
                stanza = next(wanted, None)
                if stanza is None:
                    source.unlink(missing_ok=True)
                    raise Corrupt(f"{each.file} is not what apt's list says", hint="the same command again")
                _placed(source, folder / each.plain)
                total += source.stat().st_size
                index.write(f"{_UNFIT.sub('', stanza)}Filename: ./{each.plain}\n\n")
        return total

    def _stanzas(self, found: Sequence[Package], operation: Operation) -> dict[tuple[str, str], list[str]]:
        """By name and version: two sources may have files that differ under the same."""
        if not found:
            return {}
        words = [f"{each.name}={each.version}" for each in found]
        _, said = self._asked(["apt-cache", "show", "--", *words], operation)
        stanzas: dict[tuple[str, str], list[str]] = {}
        for stanza in re.split(r"\n\s*\n", said):
            fields = dict(re.findall(r"^(Package|Version|Architecture): (.*)$", stanza, re.MULTILINE))
            if "Filename:" in stanza and len(fields) == 3:
                key = f"{fields['Package']}:{fields['Architecture']}", fields["Version"]
                stanzas.setdefault(key, []).append(f"{stanza.strip()}\n")
        if lacking := [each.name for each in found if (each.name, each.version) not in stanzas]:
            raise Corrupt(f"apt knows nothing of {lacking[0]}, which it fetched")
        return stanzas


def _package(line: str) -> Package:
    """As `--print-uris` names it: NAME_VERSION_ARCHITECTURE.deb, with escapes as in an address."""
    found = _URI.match(line)
    parts = found[1].removesuffix(".deb").split("_") if found else []
    if found is None or len(parts) != 3 or "/" in found[1]:
        raise Corrupt(f"apt names a file that is none: {line[:100]!r}")
    name, version, architecture = (re.sub("%([0-9a-fA-F]{2})", _letter, part) for part in parts)
    return Package(name=f"{name}:{architecture}", version=version, file=found[1], size=int(found[2]))


def _letter(escaped: re.Match[str]) -> str:
    return chr(int(escaped[1], 16))


def _size(file: Path) -> int | None:
    """None where there is no such file."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return None


def _digest(file: Path) -> str | None:
    """As a line of apt's list; None where there is no such file."""
    try:
        with file.open("rb") as source:
            return f"\nSHA256: {hashlib.file_digest(source, 'sha256').hexdigest()}\n"
    except FileNotFoundError:
        return None


def _placed(source: Path, target: Path) -> None:
    """Without another copy where that can be: apt puts a new file in the place of one, and writes to none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@contextmanager
def opened(picture: Path, scratch: Path) -> Iterator[Archive]:
    """Of the master whose image that is, in a folder of its own in `scratch`, the state folder, which is gone
    afterwards. Raises Unsupported where this computer has no apt, NotFound where the master has no source."""
    private.require()
    known = trusted(picture)
    with (
        TemporaryDirectory(dir=scratch, prefix=".packages-", suffix=".new") as folder,
        at_work(Path(folder)),
        no_space(scratch),
    ):
        yield Archive(Path(folder), private.prepare(Path(folder), known))
