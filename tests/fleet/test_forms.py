"""The forms that programs read: which fields every command that lists something has, and of which kind.

Whoever changes one on purpose changes tests/data/forms with it; scripts of users are broken by the rest.
"""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from skinnybox.fleet.service import Fleet
from skinnybox.model import Forward
from skinnybox.model.datadisk import data_disk
from skinnybox.sizes import MIB
from tests.fleet.conftest import HOST_KEYS, SPARSE, said
from tests.fleet.test_disks import image, write

FORMS = Path(__file__).parents[1] / "data" / "forms"
READS = {
    "list": ("list",),
    "show": ("show", "a"),
    "usage": ("show", "a", "--usage"),
    "master-list": ("master", "list"),
    "master-show": ("master", "show", "tiny"),
    "capacity": ("capacity",),
    "doctor": ("doctor",),
    "events": ("events",),
    "forward": ("forward",),
    "snapshots": ("snapshot", "list"),
    "changes": ("changes", "b"),
    "top": ("top", "--once", "--interval", "0.1"),
}


@pytest.fixture(autouse=True)
def _machines(fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that have run, and something of every kind that is listed."""
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")
    forwards = (Forward(port=8080, to=80),)
    instance = fleet.create(
        ["a", "b"],
        "tiny",
        replace(SPARSE, forwards=forwards, labels=(("role", "web"),), data=data_disk(48 * MIB)),
    )[0]
    fleet._catalog.pin_host_keys(instance.uuid, HOST_KEYS)
    fleet.start(["a"])
    fleet.overlays.snapshot(["a"], "first", data=True)
    write(image(state, fleet.machine("b").instance), "file")


def form(value: Any, name: str = "") -> list[str]:
    """A line for each field: its name below those around it, and of which kind where that is no text."""
    if isinstance(value, dict):
        return [line for key in value for line in form(value[key], f"{name}.{key}" if name else key)]
    if isinstance(value, list):
        return form(value[0], f"{name}[]") if value else [f"{name}[]: nothing"]
    return [name if value is None or isinstance(value, str) else f"{name}: {type(value).__name__}"]


@pytest.mark.parametrize("name", READS)
def test_every_form_of_what_is_read(capsys: pytest.CaptureFixture[str], name: str) -> None:
    words = READS[name]
    shown = {kind: said(capsys, *words, "--format", kind) for kind in ("json", "yaml", "csv", "table")}
    assert {ended.code for ended in shown.values()} <= {0, 1}, shown
    found = json.loads(shown["json"].out)
    fields = "".join(f"{line}\n" for line in form(found))
    columns = ",".join(next(csv.reader(io.StringIO(shown["csv"].out))))
    assert f"{fields}columns: {columns}\n" == (FORMS / f"{name}.txt").read_text()
    assert form(yaml.safe_load(shown["yaml"].out)) == form(found)
    if "--no-headers" in said(capsys, *words[:2], "--help").out:
        without = said(capsys, *words, "--format", "csv", "--no-headers").out
        assert len(shown["csv"].out.splitlines()) == len(without.splitlines()) + 1
        assert columns not in without


def test_several_machines_are_shown_one_below_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    one, other = said(capsys, "show", "a", "b").out.split("\n\n")
    assert [text.splitlines()[0].split() for text in (one, other)] == [["name:", "a"], ["name:", "b"]]
    assert "autostart:" in one and " no\n" in one and " yes" not in one
