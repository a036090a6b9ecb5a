"""Where packages come from: the machine's own apt sources, as far as they are its distribution's.

A source of a third party may offer packages for one machine only, or need credentials: it is left out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from skinnybox.errors import NotFound, Unsupported
from skinnybox.masters.kernel import os_release

_COMPONENTS = {
    "debian": {"main", "contrib", "non-free", "non-free-firmware"},
    "ubuntu": {"main", "restricted", "universe", "multiverse"},
}
_ALIASES = {"debian": ("stable", "oldstable", "testing", "unstable", "sid"), "ubuntu": ("devel",)}
_POCKETS = ("", "-updates", "-security", "/updates")
_LINE = re.compile(
    r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<components>[^#]*)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A distribution's release: `id` is debian or ubuntu, `codename` what its suites are called."""

    id: str
    codename: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """`signed_by` is a path of a keyring or a key itself, as apt takes it; "" means apt's own trust."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""

    def stanza(self) -> str:
        """As deb822, the format of `.sources` files."""
        rows = ["Types: deb", f"URIs: {' '.join(self.uris)}", f"Suites: {' '.join(self.suites)}"]
        if self.components:
            rows.append(f"Components: {' '.join(self.components)}")
        if self.signed_by:
            rows.append(f"Signed-By: {self.signed_by}")
        return "\n".join(rows) + "\n"


def release(root: Path = Path("/")) -> Release:
    """This machine's. Raises Unsupported when it is neither Debian nor Ubuntu."""
    file = root / "etc/os-release"
    facts = os_release(file.read_text("utf-8", "replace")) if file.exists() else {}
    found = Release(id=facts.get("ID", "unknown"), codename=facts.get("VERSION_CODENAME", ""))
    if found.id not in _COMPONENTS or not found.codename:
        raise Unsupported(
            f"this machine runs {facts.get('PRETTY_NAME', 'an unknown system')}: its packages are not known",
            hint="write a recipe with `suite:` and `mirror:`, or import a tree",
        )
    return found


def own_sources(suite: str, root: Path = Path("/")) -> list[Source]:
    """The machine's sources of its distribution, turned to `suite` when that is another release.

    Raises NotFound when it has none, Unsupported as `release` does.
    """
    here = release(root)
    found = [source for source in _all(root / "etc/apt") if _is_own(source, here, root)]
    if not found:
        raise NotFound(
            f"no apt source of {here.id} {here.codename} on this machine",
            hint="give `mirror:` in a recipe, or --mirror",
        )
    return [replace(source, suites=_suites(source.suites, here, suite)) for source in found]


def parse(text: str) -> list[Source]:
    """What a `.sources` file or one-line entries say, without what is disabled or deb-src."""
    if re.search(r"^[A-Za-z-]+:(?:\s|$)", text, re.MULTILINE):
        return [source for stanza in re.split(r"\n[ \t]*\n", text) if (source := _stanza(stanza))]
    return [source for line in text.splitlines() if (source := _one_line(line))]


def _all(apt: Path) -> Iterator[Source]:
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    for file in [*files, *sorted((apt / "sources.list.d").glob("*.sources"))]:
        if file.is_file():
            yield from parse(file.read_text("utf-8", "replace"))


def _one_line(line: str) -> Source | None:
    found = _LINE.match(line.strip())
    if not found:
        return None
    options = dict(option.partition("=")[::2] for option in (found["options"] or "").split())
    return Source(
        uris=(found["uri"],),
        suites=(found["suite"],),
        components=tuple(found["components"].split()),
        signed_by=options.get("signed-by", ""),
    )


def _stanza(text: str) -> Source | None:
    fields: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t"):
            fields[key] = fields.get(key, "") + "\n" + line
            continue
        key, _, value = line.partition(":")
        key = key.strip().lower()
        fields[key] = value.strip()
    if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in (
        "no",
        "false",
    ):
        return None
    return Source(
        uris=tuple(fields.get("uris", "").split()),
        suites=tuple(fields.get("suites", "").split()),
        components=tuple(fields.get("components", "").split()),
        signed_by=fields.get("signed-by", ""),
    )


def _is_own(source: Source, here: Release, root: Path) -> bool:
    names = (here.codename, *_ALIASES[here.id])
    suites = {name + pocket for name in names for pocket in _POCKETS}
    keyring = source.signed_by.rpartition("/")[2]
    return (
        bool(source.components)
        and set(source.suites) & suites == set(source.suites)
        and set(source.components) <= _COMPONENTS[here.id]
        and (not source.signed_by or keyring.startswith(f"{here.id}-archive") or "\n" in source.signed_by)
        and _origin(source, root) in (None, here.id)
    )


def _origin(source: Source, root: Path) -> str | None:
    """What the release file apt keeps of it says; None when apt keeps none."""
    for uri in source.uris:
        name = uri.partition("://")[2].rstrip("/").replace("/", "_")
        for kind in ("InRelease", "Release"):
            file = root / f"var/lib/apt/lists/{name}_dists_{source.suites[0].replace('/', '_')}_{kind}"
            found = re.search(r"^Origin: *(.+)$", _head(file), re.MULTILINE)
            if found:
                return found[1].strip().lower()
    return None


def _head(file: Path) -> str:
    if not file.is_file():
        return ""
    with file.open("rb") as source:
        return source.read(8192).decode("utf-8", "replace")


def _suites(suites: tuple[str, ...], here: Release, wanted: str) -> tuple[str, ...]:
    if wanted == here.codename:
        return suites
    names = (here.codename, *_ALIASES[here.id])
    pattern = re.compile(f"({'|'.join(map(re.escape, names))})(?=$|[-/])")
    return tuple(pattern.sub(wanted, suite, count=1) for suite in suites)
