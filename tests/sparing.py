"""What tests do not wait for again and again. Read by tests/conftest.py, for all tests.

A test ends long before any power cut, so what it commits need not be on the disk: on an ordinary virtual disk
a third of the suite was that. Those tests wait that are about it. And each state folder formats its first
overlay with mke2fs, which makes the same of the same size every time, and has a key of its own made, which
is as good when it is that of the state folder before.
"""

import os
from pathlib import Path

import pytest

from skinnybox import private
from skinnybox.fleet import access
from skinnybox.fleet.catalog import database
from skinnybox.model import DiskKind
from skinnybox.overlays import template

_THOROUGH = ("boot", "faults", "image", "soak", "unit", "xen")
"""Folders of tests that look at overlays as they are made, or at what a kill or a power cut leaves."""

_made, _make_key = template._made, access._make_key
_known: dict[tuple[int, int, DiskKind], template.Template] = {}
_halves: list[bytes] = []


@pytest.fixture(autouse=True)
def sparing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process only: commands that tests start wait, and format, as ever."""
    if request.node.get_closest_marker("durable") is not None:
        return
    monkeypatch.setattr(database, "_DURABLE", "OFF")
    monkeypatch.setattr(os, "fsync", _at_once)
    if not set(_THOROUGH) & set(request.node.path.parts):
        monkeypatch.setattr(template, "_made", _made_once)
        monkeypatch.setattr(access, "_make_key", _make_key_once)


def _at_once(_: int) -> None:
    """Without the disk."""


def _made_once(folder: Path, size: int, seed_capacity: int, kind: DiskKind) -> template.Template:
    key = size, seed_capacity, kind
    if key not in _known:
        _known[key] = _made(folder, size, seed_capacity, kind)
    return _known[key]


def _make_key_once(folder: Path, key: Path) -> None:
    both = key.with_suffix(".pub"), key
    if not _halves:
        _make_key(folder, key)
        _halves.extend(half.read_bytes() for half in both)
        return
    for half, content in zip(both, _halves, strict=True):
        half.unlink(missing_ok=True)  # of who was killed between the two
        with private.create(half) as file:
            file.write(content)
