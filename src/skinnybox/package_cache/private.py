"""A folder in which this computer's apt knows nothing but one master: its sources, its keys, its packages.

No configuration of the master's is taken, as apt runs commands that a configuration names; and of this
computer's own only how it gets out of its network.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from skinnybox import run
from skinnybox.errors import CommandFailed, NotFound, SkinnyboxError, Unsupported
from skinnybox.masters.sources import Source, own_sources, release
from skinnybox.masters.system.dpkg import stanzas
from skinnybox.package_cache.reading import Trusted, architectures, suffix

CONFIGURATION = "apt.conf"
_WAY_OUT = re.compile(
    r'(Acquire::(?:(?:https?|ftp|socks5h)(?:::[\w.:-]+)?'
    r'::(?:Proxy|Proxy-Auto-Detect|ProxyAutoDetect|Timeout|Pipeline-Depth|Dl-Limit|CAInfo)(?:::[\w.:-]+)?'
    r'|Retries|Check-Valid-Until)) "([^"\n]*)";'
)  # fmt: skip
_NETWORK = ("http:", "https:", "ftp:")
_FIT_PATH = re.compile(r"[^\"\s\\\[\]*?;{}]+")
"""What a configuration of apt's can name, and a source its key by."""
_FOLDERS = (
    "etc/sources.list.d", "etc/trusted.gpg.d", "etc/preferences.d", "etc/keys", "etc/nothing",
    "state/lists/partial", "cache/archives/partial", "cache/nothing/partial", "log",
)  # fmt: skip
_KEYRING = "/usr/share/keyrings/{}-archive-keyring.gpg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Where its configuration is, which packages the master has, and what a person should read of it."""

    configuration: Path
    installed: frozenset[str]
    notes: tuple[str, ...]


def require() -> None:
    """Raises Unsupported where this computer has no apt."""
    missing = [name for name in ("apt-get", "apt-cache", "apt-config") if run.find(name) is None]
    if missing:
        raise Unsupported(
            f"packages for another release are fetched by this computer's apt, and it has no {missing[0]}",
            hint="run it on a Debian or Ubuntu host (`apt-get install apt`)",
        )


def prepare(folder: Path, known: Trusted) -> Prepared:
    """Lay it out. Raises NotFound where the master names no source that can be reached from here, Unsupported
    for a folder that apt cannot name."""
    if not _FIT_PATH.fullmatch(str(folder)):
        raise Unsupported(
            f"apt cannot work in {folder}", hint="a state folder with a plainer name can be used"
        )
    its, installed = _architectures(known), _installed(known.status)
    for name in _FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "state/status").write_bytes(known.status)
    (folder / "state/extended_states").write_bytes(b"")
    notes: list[str] = []
    usable = [*_usable(known, folder, notes)] or [*_own(known, notes)]
    if not usable:
        raise NotFound(
            "the new master names no apt source that can be reached from here",
            hint="build it with its `sources:`, or `mirror:`; what is only on a disk cannot be fetched",
        )
    (folder / "etc/sources.list.d/master.sources").write_text("\n".join(each.stanza() for each in usable))
    for number, (kind, data) in enumerate(known.trusted):
        (folder / f"etc/trusted.gpg.d/{number:03}{kind}").write_bytes(data)
    for number, data in enumerate(known.preferences):
        (folder / f"etc/preferences.d/{number:03}.pref").write_bytes(data)
    configuration = folder / CONFIGURATION
    configuration.write_text("".join(f"{line}\n" for line in _lines(folder, its)))
    return Prepared(configuration=configuration, installed=installed, notes=tuple(notes))


def _usable(known: Trusted, folder: Path, notes: list[str]) -> Iterator[Source]:
    """With keys that lie here. A key that the master does not hold is no reason to trust nobody's word."""
    for number, source in enumerate(known.sources):
        uris = tuple(uri for uri in source.uris if uri.startswith(_NETWORK))
        if why := _unusable(source, uris, known):
            notes.append(f"of the new master's sources {' '.join(source.uris)[:200]} is left out: {why}")
            continue
        if source.signed_by.startswith("/"):
            key = folder / f"etc/keys/{number}{suffix(source.signed_by)}"
            key.write_bytes(known.keys[source.signed_by])
            source = replace(source, signed_by=str(key))
        yield replace(source, uris=uris)


def _unusable(source: Source, uris: tuple[str, ...], known: Trusted) -> str | None:
    if not uris:
        return "no network leads there"
    flat = bool(source.suites) and all(suite.endswith("/") for suite in source.suites)
    if not source.suites or bool(source.components) == flat:
        return "it names no suite, or no component"
    if source.signed_by.startswith("/") and source.signed_by not in known.keys:
        return f"its key {source.signed_by[:200]} is not in the master"
    return None


def _own(known: Trusted, notes: list[str]) -> Iterator[Source]:
    """This computer's, for a master that has none: of the same distribution, and of its release."""
    try:
        if known.sources or known.release is None or release().id != known.release.id:
            return
        found = own_sources(known.release.codename)
    except SkinnyboxError:
        return
    notes.append("the new master has no apt source: this computer's are used, for its release")
    keyring = _KEYRING.format(known.release.id)
    for source in found:
        yield source if source.signed_by else replace(source, signed_by=keyring)


def _lines(folder: Path, its: tuple[str, ...]) -> Iterable[str]:
    yield "#clear DPkg;"
    yield "#clear APT::Update;"
    for key, value in (
        ("Dir", f"{folder}/"),
        ("Dir::State", "state/"), ("Dir::State::status", f"{folder}/state/status"),
        ("Dir::Cache", "cache/"), ("Dir::Log", "log/"),
        ("Dir::Etc", "etc/"), ("Dir::Etc::sourcelist", "nothing.list"),
        ("Dir::Etc::sourceparts", "sources.list.d"), ("Dir::Etc::parts", "nothing"),
        ("Dir::Etc::trusted", "nothing.gpg"), ("Dir::Etc::trustedparts", "trusted.gpg.d"),
        ("Dir::Etc::preferences", "nothing.pref"), ("Dir::Etc::preferencesparts", "preferences.d"),
        ("APT::Architecture", its[0]),
        ("APT::Sandbox::User", "root"),
        ("APT::Install-Recommends", "false"),
        ("APT::Get::List-Cleanup", "false"),
        ("APT::Cmd::Pattern-Only", "true"),  # else a name such as l.+x, which a machine says, is a search
        ("Acquire::Languages", "none"),
        ("Debug::NoLocking", "true"),
    ):  # fmt: skip
        yield f'{key} "{value}";'
    for each in its:
        yield f'APT::Architectures:: "{each}";'
    yield from way_out()


def _architectures(known: Trusted) -> tuple[str, ...]:
    """The first is dpkg's own there. Raises Unsupported for a master that has none."""
    for stanza in stanzas(known.status, ("Package", "Architecture")):
        if stanza.get("Package") == ["dpkg"] and (
            told := architectures(" ".join(stanza.get("Architecture", [])))
        ):
            return tuple(dict.fromkeys((told[0], *known.architectures)))
    raise Unsupported("the new master has no dpkg", hint="only Debian's family installs packages again")


def _installed(status: bytes) -> frozenset[str]:
    return frozenset(
        stanza["Package"][0]
        for stanza in stanzas(status, ("Package", "Status"))
        if "Package" in stanza and stanza.get("Status", [""])[0].endswith(" installed")
    )


def way_out() -> Iterator[str]:
    """How this computer's apt reaches others."""
    try:
        said = run.run(["apt-config", "dump"], keep=run.FETCHING).stdout.decode("utf-8", "replace")
    except CommandFailed:
        return
    for line in said.splitlines():
        if _WAY_OUT.fullmatch(line.strip()):
            yield line.strip()
