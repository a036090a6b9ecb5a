"""Debian's database of packages, read as the files it is; no program of the tree is run for it."""

import re
from collections.abc import Container, Iterator

from skinnybox.masters.system.source import Notes, Source, content, lines
from skinnybox.masters.system.values import INSTALLED, Alternative, Diversion, Package

FOLDER = "var/lib/dpkg"
STATUS, INFO = f"{FOLDER}/status", f"{FOLDER}/info"
_STATUS_FOLDER = f"{FOLDER}/status.d"
"""Images without dpkg have a file for each package there."""
_ALTERNATIVES = (f"{FOLDER}/alternatives", "var/lib/alternatives")
_CHOSEN = "etc/alternatives"
OF_ALTERNATIVES = (*_ALTERNATIVES, _CHOSEN)
"""Where they are written down."""
_MIB = 1 << 20
STATUS_LIMIT, _STANZA_LIMIT, _LIST_LIMIT, _SMALL = 32 * _MIB, _MIB >> 4, 16 * _MIB, _MIB
_MOST_APART = 2000
MOST_PACKAGES, _MOST_CONFFILES, _MOST_ENTRIES = 50_000, 10_000, 10_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]{0,199}")
_VERSION = re.compile(r"[0-9A-Za-z.+:~_-]{1,200}")
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_STATUS = re.compile(r"[a-z-]{1,20} [a-z-]{1,20} [a-z-]{1,20}")
_CONFFILE = re.compile(r"/(.{1,4000}) ([0-9a-f]{32})(?: [a-z-]+)*")
_WANTED = {"Package", "Status", "Version", "Architecture", "Conffiles"}
Stanza = dict[str, list[str]]


def packages(source: Source, notes: Notes) -> list[Package] | None:
    """Those it knows, also those that were removed and not purged; None where there is no such database."""
    data = content(source, STATUS, STATUS_LIMIT, notes)
    apart = [] if data else source.names(_STATUS_FOLDER)
    if data is None and not apart:
        return None
    if source.names(f"{FOLDER}/updates"):
        notes.add("dpkg was interrupted: its database has updates that were not brought in")
    found: dict[str, Package] = {}
    for stanza in _all_stanzas(source, data, apart, notes):
        package = _package(stanza, notes)
        if package is None:
            continue
        if len(found) >= MOST_PACKAGES:
            notes.add(f"more than {MOST_PACKAGES} packages: the others were not read")
            break
        found[package.key] = package
    return sorted(found.values(), key=lambda package: (package.name, package.architecture))


def paths(source: Source, package: Package, lists: frozenset[str], notes: Notes) -> Iterator[str]:
    """What it says that it brought, with an empty path for what says nothing: whoever reads them counts them,
    since one long file can be the list of any number of packages. `lists` is what INFO holds."""
    named = (f"{package.name}:{package.architecture}.list", f"{package.name}.list")
    file = next((name for name in named if name in lists), None)
    if file is None:
        return
    for line in lines(content(source, f"{INFO}/{file}", _LIST_LIMIT, notes)):
        path = line.strip("/").removeprefix("./")
        yield "" if path == "." else path


def diversions(source: Source, notes: Notes) -> list[Diversion]:
    told = list(lines(content(source, f"{FOLDER}/diversions", _SMALL, notes)))[: 3 * _MOST_ENTRIES]
    if len(told) % 3:
        notes.add(f"{FOLDER}/diversions: its last entry is cut off")
    triples = zip(told[::3], told[1::3], told[2::3], strict=False)
    found = {Diversion(path=a.strip("/"), to=b.strip("/"), package=c) for a, b, c in triples}
    return sorted(found, key=lambda d: (d.path, d.to, d.package))


def alternatives(source: Source, notes: Notes) -> list[Alternative]:
    targets = source.links(_CHOSEN)
    found: dict[str, Alternative] = {}
    for folder in _ALTERNATIVES:
        for name in source.names(folder)[:_MOST_ENTRIES]:
            mode = next(lines(source.read(f"{folder}/{name}", 16)), "")
            if name not in targets or mode not in ("auto", "manual"):
                notes.add(f"{folder}/{name} is no alternative that is in force")
                continue
            found.setdefault(name, Alternative(name=name, mode=mode, target=targets[name]))
    return [found[name] for name in sorted(found)]


def _all_stanzas(source: Source, data: bytes | None, apart: list[str], notes: Notes) -> Iterator[Stanza]:
    yield from stanzas(data)
    for name in apart[:_MOST_APART]:
        if not name.endswith(".md5sums"):
            yield from stanzas(content(source, f"{_STATUS_FOLDER}/{name}", _STANZA_LIMIT, notes))


def stanzas(data: bytes | None, wanted: Container[str] = _WANTED) -> Iterator[Stanza]:
    """The fields that are wanted, each as its lines."""
    stanza: Stanza = {}
    current: list[str] | None = None
    for line in lines(data):
        if not line.strip():
            if stanza:
                yield stanza
            stanza, current = {}, None
        elif line[0] in " \t":
            if current is not None and len(current) <= _MOST_CONFFILES:
                current.append(line.strip())
        else:
            key, _, value = line.partition(":")
            current = [value.strip()] if key in wanted else None
            if current is not None:
                stanza[key] = current
    if stanza:
        yield stanza


def _package(stanza: Stanza, notes: Notes) -> Package | None:
    def field(key: str, otherwise: str = "") -> str:
        return stanza.get(key, [otherwise])[0]

    name, version, status = field("Package"), field("Version"), field("Status", INSTALLED)
    if status.endswith(" not-installed"):  # known by name only
        return None
    architecture = field("Architecture", "all")
    checks = ((_NAME, name), (_VERSION, version), (_ARCHITECTURE, architecture), (_STATUS, status))
    for form, value in checks:
        if not form.fullmatch(value):
            notes.add(f"{STATUS}: {name[:60]!r} is no package that can be: {value[:60]!r}")
            return None
    return Package(
        name=name,
        version=version,
        architecture=architecture,
        status=status,
        conffiles=tuple(_conffiles(stanza.get("Conffiles", []))),
    )


def _conffiles(told: list[str]) -> Iterator[tuple[str, str]]:
    """`/etc/x 0123... obsolete`; instead of the digest there is a word of one that was never installed."""
    for line in told:
        found = _CONFFILE.fullmatch(line)
        if found:
            yield found[1], found[2]
