"""The word in a state folder that says where its machines are."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from skinnybox.errors import Blocked, Corrupt
from skinnybox.fleet.catalog import host_kind
from skinnybox.fleet.catalog.host_kind import FAKE, KINDS, QEMU, XAPI, HostKind


def test_what_a_killed_first_writer_left_goes_with_the_next(tmp_path: Path) -> None:
    (tmp_path / ".host.0a1b2c3d.new").write_text("qe")
    host_kind.note(tmp_path, "qemu")
    assert [path.name for path in tmp_path.iterdir()] == ["host"]
    assert host_kind.noted(tmp_path) == host_kind.QEMU


def _with_a_machine(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "state.db")) as db:
        db.executescript("CREATE TABLE instances (name TEXT); INSERT INTO instances VALUES ('a')")


@pytest.mark.parametrize("kind", KINDS)
def test_machines_are_on_one_kind_of_host(tmp_path: Path, kind: HostKind) -> None:
    """Also where both keep records in the folder: a pretended stop would be believed."""
    host_kind.note(tmp_path, kind.name)
    for other in KINDS:
        host_kind.refuse_other(tmp_path, other)  # nobody is there yet
    _with_a_machine(tmp_path)
    host_kind.refuse_other(tmp_path, kind)
    for other in {QEMU, FAKE, XAPI} - {kind}:
        with pytest.raises(Blocked, match=f"the kind '{kind.name}', not '{other.name}'"):
            host_kind.refuse_other(tmp_path, other)


def test_a_word_that_is_lost(tmp_path: Path) -> None:
    (tmp_path / "host").touch()
    host_kind.refuse_other(tmp_path, QEMU)
    _with_a_machine(tmp_path)
    with pytest.raises(Corrupt, match="host is empty") as caught:
        host_kind.refuse_other(tmp_path, QEMU)
    hint = "`skinnybox repair` looks where they are; or write that word into it: qemu or memory or xapi"
    assert caught.value.hint == hint
    host_kind.refuse_other(tmp_path, QEMU, repairing=True)
    (tmp_path / "host").write_text("other\n")
    with pytest.raises(Blocked, match="of the kind 'other'"):
        host_kind.refuse_other(tmp_path, QEMU)
    (tmp_path / "host").unlink()
    host_kind.refuse_other(tmp_path, QEMU)
    (tmp_path / "host").mkdir()
    with pytest.raises(Corrupt, match="host is a folder"):
        host_kind.refuse_other(tmp_path, QEMU)
