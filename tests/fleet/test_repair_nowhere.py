"""A machine that can be read neither from the memory nor from its record."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from skinnybox.fleet.registry import open_host
from skinnybox.fleet.repair.examine import examine
from skinnybox.issues import Deed
from skinnybox.model import Instance
from tests.fleet.conftest import SPARSE, open_fake
from tests.fleet.repairing import mended, place

pytestmark = pytest.mark.usefixtures("nothing_is_young")


def lose_both(state: Path, instance: Instance) -> None:
    (place(state, instance) / "instance.json").write_text("{")
    with closing(sqlite3.connect(state / "state.db")) as db:
        db.execute("UPDATE instances SET record = '{}' WHERE name = 'a'")
        db.commit()


def test_its_name_is_free_again_and_its_overlay_kept(state: Path, made: dict[str, Instance]) -> None:
    lose_both(state, made["a"])
    host = open_host("memory", state)
    said = [(finding.deed, finding.what) for finding in examine(state, host).findings]
    assert (Deed.FORGET, "a is remembered, but can be read nowhere") in said
    mended(state)
    with open_fake(state) as fleet:
        assert fleet.names() == ["b", "c"]
    assert (place(state, made["a"]) / "overlay.img").exists()
    with open_fake(state) as fleet:
        assert fleet.create(["a"], "tiny", SPARSE)[0].uuid != made["a"].uuid


@pytest.mark.parametrize("kind", ["qemu", "fake"])
def test_where_nothing_was_made_yet_nothing_is_left_over(tmp_path: Path, kind: str) -> None:
    assert examine(tmp_path / "new", open_host(kind, tmp_path / "new")).findings == []
    assert not (tmp_path / "new").exists()
