"""What users write: names, patterns, sizes, references, recipes, fleet files, apt sources."""

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinnybox.errors import NotFound, UsageError
from skinnybox.fleet import names
from skinnybox.fleet.spec import reading as spec
from skinnybox.masters import kernel, recipe, sources
from skinnybox.model import check_name, parse_reference
from skinnybox.sizes import format_size, parse_size
from tests.fuzz.conftest import survives
from tests.fuzz.mutate import TEXTS, lines_mixed, mutated

PATTERNS = (
    b"web-{01..40}", b"{db,www}-{1..3}", b"{a,b}{c,d}{e,f}", b"web-*", b"[a-z]?", b"{1..3}{1..3}{1..3}", b"x",
)  # fmt: skip
PIECES = (
    b"{", b"}", b"..", b",", b"{1..9999999999}", b"{" + b"9" * 5000 + b"..1}", b"{0..9}" * 900, b"{a,b}" * 40,
    b"[", b"]", b"*", b"?", b"\\", b"{" + b"0" * 200 + b"1..2}", b"[!", b"[[:alpha:]]", "ü".encode(),
    b"*" * 200,
)  # fmt: skip
EXISTING = (*(f"web-{number:02}" for number in range(40)), "db-1", "x")

RECIPE = b"""suite: bookworm
mirror: http://deb.example/debian
sources: ["deb http://deb.example/ bookworm main"]
components: [main, contrib]
packages: [apache2, php]
kernel: linux-image-cloud-amd64
slim: true
copy:
  - {source: site.conf, dest: /etc/apache2/site.conf, mode: 0644, owner: root:root}
scripts:
  - a2enmod rewrite
  - {file: setup.sh}
"""
FLEET = b"""version: 1
fleet: widgets
defaults:
  master: lamp:1
  overlay: 1G
  memory: 512M
  ssh_keys: [key.pub]
machines:
  web-{01..04}:
    cpus: 2
    files:
      - {source: site.conf, target: /etc/site.conf}
  db-1:
    state: running
    address: 10.0.0.5/24
    gateway: 10.0.0.1
    run_once: |
      echo hi
"""
YAML = (
    b"&a [*a]", b"*b", b"<<: {a: 1}", b"!!python/object/apply:os.system [reboot]", b"? ", b"- ", b": ", b"\t",
    b"|\n", b"---\n", b"...\n", b"{" * 2000, b"[" * 2000, b"? " * 1500, b"- " * 1500, b"%TAG ! x\n",
    b"\xef\xbb\xbf", b"\x00", b"2026-01-01", b"0x1F", b"1e999", b".nan", b"12:34:56", b"yes", b"~",
    b"!!binary AAAA",
    b"!!set {a}", b"../x", b"/etc/shadow",
    b"a: &x [1,1,1,1,1,1,1,1,1]\nb: &y [*x,*x,*x,*x,*x,*x,*x,*x]\nc: [*y,*y,*y,*y,*y,*y,*y]\n",
)  # fmt: skip


def text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def test_any_pattern(rounds: int, chance: random.Random) -> None:
    for _ in range(rounds):
        pattern = text(mutated(chance.choice(PATTERNS), chance, PIECES))
        found = survives(names.expand, [pattern])
        assert isinstance(found, list | UsageError)
        if isinstance(found, list):
            assert len(found) <= names.MOST_NAMES and all(map(check_name, found))
        chosen = survives(names.select, [pattern], EXISTING)
        assert isinstance(chosen, list | UsageError | NotFound)
        assert not isinstance(chosen, list) or set(chosen) <= set(EXISTING)


@given(st.text(max_size=100) | st.sampled_from(TEXTS))
def test_any_name(name: str) -> None:
    try:
        assert check_name(name) == name
        assert name.isascii() and "/" not in name and "." not in name and 0 < len(name) <= 63
    except UsageError as error:
        assert error.message.isprintable() and error.hint


@given(
    st.from_regex(r"\s*[0-9]{1,400}(\.[0-9]{0,400})?\s*([kmgtKMGT]i?[bB]?)?\s*", fullmatch=True) | st.text()
)
def test_any_size(size: str) -> None:
    with contextlib.suppress(UsageError):
        assert parse_size(size) > 0


@given(st.integers(0, 1 << 70))
def test_every_size_can_be_shown(size: int) -> None:
    shown = format_size(size)
    assert shown.isprintable() and len(shown) < 20


@given(st.text(max_size=200) | st.sampled_from(TEXTS))
def test_any_reference(reference: str) -> None:
    with contextlib.suppress(UsageError):
        name, version = parse_reference(reference)
        assert "/" not in name and "/" not in (version or "")


@pytest.fixture
def folder(around: Path) -> Path:
    inside = around / "inside"
    for name in ("site.conf", "setup.sh"):
        (inside / name).write_text("#!/bin/sh\n")
    (inside / "key.pub").write_text(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA x\n"
    )
    return inside


def yaml_like(good: bytes, chance: random.Random) -> bytes:
    data = lines_mixed(good, chance) if chance.random() < 0.4 else good
    return mutated(data, chance, (*YAML, *PIECES[:6], *(words.encode("utf-8", "replace") for words in TEXTS)))


def test_any_recipe(rounds: int, chance: random.Random, folder: Path) -> None:
    file = folder / "recipe.yaml"
    assert isinstance(recipe.parse(text(RECIPE), file), recipe.Recipe)
    for _ in range(rounds):
        data = yaml_like(RECIPE, chance)
        found = survives(recipe.parse, text(data), file)
        assert isinstance(found, recipe.Recipe | UsageError | NotFound)
        if isinstance(found, recipe.Recipe):
            assert all(copy.dest.startswith("/") and ".." not in copy.dest.split("/") for copy in found.copy)


def test_any_fleet_file(rounds: int, chance: random.Random, folder: Path) -> None:
    file = folder / "fleet.yaml"
    for _ in range(rounds):
        data = yaml_like(FLEET, chance)
        found = survives(spec.parse, data, file)
        assert isinstance(found, spec.Description | UsageError | NotFound)
        if isinstance(found, UsageError):
            assert str(file) in found.message, data


SOURCES = b"""Types: deb
URIs: http://deb.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

deb [signed-by=/x arch=amd64] http://deb.example/debian bookworm main
"""
RELEASE = b'PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\nVERSION_CODENAME=bookworm\n'


@pytest.mark.parametrize(("good", "parse"), [(SOURCES, sources.parse), (RELEASE, kernel.os_release)])
def test_any_file_of_a_tree(
    rounds: int, chance: random.Random, good: bytes, parse: Callable[[str], object]
) -> None:
    for _ in range(rounds):
        data = mutated(
            lines_mixed(good, chance), chance, (b"[", b"]", b"\\", b'"', b"'", b" " * 5000, b"=", b":")
        )
        survives(parse, text(data))
