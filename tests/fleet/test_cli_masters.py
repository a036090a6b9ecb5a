"""What the commands about masters show."""

import json
from pathlib import Path

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.model import Master
from tests.fleet.conftest import SPARSE, said


def test_a_table_is_brief_and_other_formats_have_everything(
    fleet: Fleet, master: Master, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.create(["a", "b"], "tiny", SPARSE)
    where = ("--host", "fake", "--state", str(state))
    table = said(capsys, *where, "master", "list").out
    assert master.id.removeprefix("sha256:")[:12] in table and master.id not in table
    heads, row = (line.split() for line in table.splitlines())
    assert heads[:2] == ["MASTER", "ID"] and "-" not in row  # which stands for what is not known
    (record,) = json.loads(said(capsys, *where, "master", "list", "--format", "json").out)
    assert (record["master"], record["id"]) == ("tiny:1", master.id)
    assert [image["digest"] for image in record["images"]] == [image.digest for image in master.images]
    shown = json.loads(said(capsys, *where, "master", "show", "tiny:1", "--format", "json").out)
    assert shown["id"] == master.id and shown["machines"] == ["a", "b"]
