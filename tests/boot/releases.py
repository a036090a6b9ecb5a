"""Masters of Debian's other releases, as far as they can be fetched from here."""

import json
from pathlib import Path

import pytest

from skinnybox.errors import CommandFailed
from skinnybox.fleet.service import Fleet
from skinnybox.masters import sources

NOT_FETCHED = "cannot be fetched"


def recipe(folder: Path, suite: str, lines: list[str], **more: object) -> Path:
    file = folder / f"{suite}.yaml"
    file.write_text(json.dumps({"suite": suite, "sources": lines, **more}))
    return file


def from_the_archive(suite: str) -> list[str]:
    """Without its updates: of a release whose support has ended their index is kept, and not every file."""
    return [
        f"deb [signed-by={source.signed_by}] {uri} {suite} {' '.join(source.components)}"
        for source in sources.own_sources(suite)
        if suite in source.suites and source.signed_by.startswith("/")
        for uri in source.uris
    ]


def build_debian(
    fleet: Fleet, reference: str, suite: str, folder: Path, packages: tuple[str, ...] = ()
) -> None:
    if sources.release().id != "debian":
        pytest.skip(f"{suite}: this machine has no sources of Debian")
    try:
        fleet.masters.build(reference, suite=suite, packages=packages)
    except CommandFailed as error:
        if NOT_FETCHED not in error.message:
            raise
        written = recipe(folder, suite, from_the_archive(suite), packages=list(packages))
        fleet.masters.build(reference, written)
