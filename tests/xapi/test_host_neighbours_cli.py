"""Two state folders on one pool, and one that was lost: as users type it, and are killed at it."""

import shutil
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from skinnybox.masters import efi
from tests.samples import seal
from tests.xapi.furnished import at_work, furnished
from tests.xapi.test_host_cli import Line, begun, states, until_called, until_ended

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(bool(efi.missing()), reason="no disk of a master can be made here"),
]
MAKE = ("--master", "tiny", "--overlay", "64M")


class Two(NamedTuple):
    anna: Line
    bert: Line
    folder: Path


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    seal(tmp_path / "anna", tmp_path, "tiny", "1")
    shutil.copytree(tmp_path / "anna", tmp_path / "bert")
    with furnished(guest=at_work) as pool:
        yield Two(Line(tmp_path / "anna", pool), Line(tmp_path / "bert", pool), tmp_path / "anna")


def test_one_is_killed_and_the_other_repairs(two: Two) -> None:
    anna, bert, _ = two
    bert("create", "web-1", *MAKE, "--start")
    anna.pool.faults.slow("VM.create", 0.5)
    anna.pool.log.clear()
    with begun(anna, "create", "web-{1..9}", *MAKE) as process:
        until_called(anna, "VM.create", 3)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
    until_ended(anna, "VM.create")
    anna.pool.faults.clear()
    bert("repair", "-y", "--delete-orphans")
    assert states(bert) == {"web-1": "ready"} and bert.json("repair", "-y")[0]["deed"] == "keep"
    assert anna("create", "web-{1..9}", *MAKE).count("created") == 9
    bert("delete", "-y", "-f", "*")
    assert set(states(anna).values()) == {"stopped"} and len(states(anna)) == 9


def test_a_lost_folder(two: Two) -> None:
    anna, bert, folder = two
    anna("create", "web-{1..2}", *MAKE, "--start")
    bert("create", "web-1", *MAKE)
    own = (folder / "fleet").read_text().strip()
    for each in folder.iterdir():
        if each.name != "masters":
            shutil.rmtree(each) if each.is_dir() else each.unlink()
    assert states(anna) == {}
    said = anna("doctor")
    assert own in said and "web-1, web-2" in said and f"fleet={own}" in said
    assert f"fleet={own}" in anna("repair", "--dry-run") and not (folder / "fleet").exists()
    wrong = anna.try_("repair", "--dry-run", host=f"{anna.host}&fleet={uuid.uuid4()}")
    assert wrong.code != 0 and f"{own} (web-1, web-2)" in wrong.err and not (folder / "fleet").exists()
    anna("repair", "-y", host=f"{anna.host}&fleet={own}")
    assert states(anna) == {"web-1": "ready", "web-2": "ready"} and states(bert) == {"web-1": "stopped"}
    theirs = (folder.parent / "bert" / "fleet").read_text().strip()
    other = anna.try_("list", host=f"{anna.host}&fleet={theirs}")
    assert other.code != 0 and own in other.err and "Traceback" not in other.err
    anna("delete", "-y", "-f", "*")
