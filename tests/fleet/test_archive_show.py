"""`archive show`: what an archive is, by a file of which only the first part is read."""

import csv
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skinnybox import __version__
from skinnybox.delta.archive.form import MANIFEST
from skinnybox.fleet.service import Fleet
from skinnybox.model import Instance
from skinnybox.model.datadisk import data_disk
from skinnybox.sizes import MIB
from tests.fleet import rebasing
from tests.fleet.conftest import SPARSE, said
from tests.fleet.test_rebase import two_masters
from tests.layered import planted
from tests.unit.archived import packed, unpacked
from tests.unit.hostile_archives import Part, member, parts_of

__all__ = ["two_masters"]
fleet = rebasing.fleet_of_two
Said = pytest.CaptureFixture[str]


@pytest.fixture
def web(fleet: Fleet, tmp_path: Path) -> Instance:
    fleet.layers.import_tree(planted(tmp_path / "site", {"srv/x": "x"}), "site:1", above="web:1")
    wanted = replace(SPARSE, data=data_disk(48 * MIB), layers=("site",))
    return fleet.create(["web"], "web:1", wanted)[0]


def exported(capsys: Said, file: Path, *more: str) -> dict[str, Any]:
    ended = said(capsys, "export", "web", str(file), "--format", "json", *more)
    assert ended.code == 0, ended
    found: dict[str, Any] = json.loads(ended.out)
    return found


def shown(capsys: Said, file: Path) -> dict[str, Any]:
    ended = said(capsys, "archive", "show", str(file), "--format", "json")
    assert (ended.code, ended.err) == (0, ""), ended
    found: dict[str, Any] = json.loads(ended.out)
    return found


def test_which_one_an_increment_needs_is_seen(
    fleet: Fleet, web: Instance, state: Path, capsys: Said, tmp_path: Path
) -> None:
    """By the same id in the hint, in both archives, and in what `export` says."""
    first, later = tmp_path / "first", tmp_path / "later"
    made = exported(capsys, first, "--data")
    fleet.start(["web"])
    exported(capsys, later, "--data", "--since", str(first))
    found = shown(capsys, first)
    layer = fleet.layers.find("site")
    assert "T" in found.pop("made") and found == {
        "file": str(first), "id": made["id"], "since": None, "machine": "web", "uuid": str(web.uuid),
        "by": __version__, "consistent": "stopped", "holds": ["overlay", "data"],
        "size": first.stat().st_size, "overlay": web.overlay.size, "data_disk": 48 * MIB,
        "master": "web:1", "master_id": web.stack.master, "layers": ["site:1"], "layer_ids": [layer.id],
    }  # fmt: skip
    found = shown(capsys, later)
    assert (found["since"], found["consistent"]) == (made["id"], "crash") and found["id"] != made["id"]
    ended = said(capsys, "create", "web", "--from", str(later))
    assert ended.code == 2 and f"its id is {made['id']} (`skinnybox archive show FILE`" in ended.err, ended
    lines = said(capsys, "archive", "show", str(later)).out.splitlines()
    told = dict(line.split(":", 1) for line in lines)
    assert told["since"].strip() == made["id"] and told["data disk"].strip() == "48.0M"
    assert told["consistent"].strip() == "as after a power cut" and told["holds"].strip() == "overlay, data"
    [row] = csv.DictReader(said(capsys, "archive", "show", str(first), "--format", "csv").out.splitlines())
    assert row["id"] == made["id"] and row["since"] == "-" and row["holds"] == "overlay, data"


def test_only_its_first_part_is_read_and_nothing_is_made(
    fleet: Fleet, web: Instance, state: Path, capsys: Said, tmp_path: Path
) -> None:
    """Also where there is no state folder, nor any of its master."""
    file = tmp_path / "cut"
    made = exported(capsys, file)
    tar = unpacked(file)
    packed(file, tar[: tar.index(b"skinnybox.end")])
    none = tmp_path / "none/none"
    ended = said(
        capsys, "--state", str(none), "--host", "fake", "archive", "show", str(file), "--format", "json"
    )
    assert ended.code == 0 and json.loads(ended.out)["id"] == made["id"], ended
    assert not none.parent.exists()


def altered(tar: bytes, name: str) -> bytes:
    """With another manifest."""
    parts = parts_of(tar)
    values = json.loads(parts.named(MANIFEST).content)
    match name:
        case "word":
            values["stack"]["reference"] = "web:1\x1b[2J"
        case "machine":
            values["machine"]["name"] = "web\x1b[2J"
        case "master":
            values["stack"]["master"] = "sha256:" + "0" * 64
        case "id":
            values["id"] = "x"
        case "later":
            values["format"] = 99
        case "long":
            values["by"] = "x" * (2 << 20)
    text = json.dumps(values).encode()
    parts.parts[0] = Part(MANIFEST, member(MANIFEST, size=len(text)), text)
    return parts.tar()


ALTERED = {"word": 1, "machine": 1, "master": 1, "id": 1, "later": 6, "long": 1}
NONE = {"text": 1, "empty": 1, "folder": 2, "pipe": 2, "/dev/zero": 2, "nothing": 3, "-": 3}


@pytest.fixture
def bad(fleet: Fleet, web: Instance, capsys: Said, tmp_path: Path) -> Path:
    exported(capsys, whole := tmp_path / "whole")
    tar = unpacked(whole)
    for name in ALTERED:
        packed(tmp_path / name, altered(tar, name))
    (tmp_path / "text").write_text("text")
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


def test_what_is_no_archive(bad: Path, capsys: Said) -> None:
    for name, code in {**ALTERED, **NONE}.items():
        ended = said(capsys, "archive", "show", str(bad / name))
        assert (ended.code, ended.out) == (code, ""), (name, ended)
        assert "Traceback" not in ended.err and "\x1b" not in ended.err
        is_none = "an archive is a file that `skinnybox export` wrote" in ended.err
        assert is_none == (name in ("folder", "pipe", "/dev/zero")), (name, ended)


@pytest.mark.full
def test_it_is_none_in_the_words_of_who_makes_a_machine_of_it(bad: Path, capsys: Said) -> None:
    for name in (*ALTERED, "text", "empty", "nothing"):
        file = str(bad / name)
        assert said(capsys, "archive", "show", file) == said(capsys, "create", "web", "--from", file), name
