"""What tests do not wait for again and again. Read by tests/conftest.py, for all tests.

A test ends long before any power cut, so what it commits need not be on the disk: on an ordinary virtual disk
a third of the suite was that. Those tests wait that are about it. And each state folder formats its first
overlay with mke2fs, which makes the same of the same size every time.
"""

import os
from pathlib import Path

import pytest

from skinnybox.fleet.catalog import database
from skinnybox.model import DiskKind
from skinnybox.overlays import template

_THOROUGH = ("boot", "faults", "image", "soak", "unit", "xen")
"""Folders of tests that look at overlays as they are made, or at what a kill or a power cut leaves."""

_made = template._made
_known: dict[tuple[int, int, DiskKind], template.Template] = {}


@pytest.fixture(autouse=True)
def sparing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process only: commands that tests start wait, and format, as ever."""
    if request.node.get_closest_marker("durable") is not None:
        return
    monkeypatch.setattr(database, "_DURABLE", "OFF")
    monkeypatch.setattr(os, "fsync", _at_once)
    if not set(_THOROUGH) & set(request.node.path.parts):
        monkeypatch.setattr(template, "_made", _made_once)


def _at_once(_: int) -> None:
    """Without the disk."""


def _made_once(folder: Path, size: int, seed_capacity: int, kind: DiskKind) -> template.Template:
    key = size, seed_capacity, kind
    if key not in _known:
        _known[key] = _made(folder, size, seed_capacity, kind)
    return _known[key]
