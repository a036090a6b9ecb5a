"""Archives of machines, made and read, struck like the commands in scenarios.py."""

import json

from tests.faults.conftest import KEPT, Place
from tests.faults.scenarios import CONFLICT, NOT_FOUND, Scenario, with_a_file


def archived(place: Place) -> None:
    """The archive is whole: all of it is read when another is made since then. It goes, being no part of the
    state folder."""
    file, later = place.state / "archive", place.folder / "later"
    made = json.loads(place.ok("export", "one", str(later), "--since", str(file), "--format", "json"))
    assert made["members"] == 2  # what it is, and its index: nothing has changed
    for each in (file, later):
        each.unlink()


def exported_and_deleted(place: Place) -> None:
    with_a_file(place)
    place.ok("export", "one", str(place.folder / "one.tar.zst"))
    place.ok("delete", "-y", "one")


def restored(place: Place) -> None:
    """With its file, and nothing else."""
    assert set(place.names()) == {"one", *KEPT}
    [change] = json.loads(place.ok("changes", "one", "--format", "json"))
    assert change["path"] == "/own", change


def moved(place: Place) -> None:
    """It is there, with its file, and no more here."""
    assert set(place.names()) == set(KEPT)
    there = ("--state", str(place.folder / "elsewhere"))
    assert place.ok(*there, "list", "--names").split() == ["one"]
    [change] = json.loads(place.ok(*there, "changes", "one", "--format", "json"))
    assert change["path"] == "/own", change
    place.ok(*there, "master", "verify", "tiny:1")


ARCHIVES = (
    Scenario(
        name="export",
        words=("export", "one", "@/state/archive"),
        prepare=with_a_file,
        wanted=archived,
        done=(CONFLICT,),
    ),
    Scenario(
        name="restore",
        words=("create", "one", "--from", "@/one.tar.zst"),
        prepare=exported_and_deleted,
        wanted=restored,
        done=(CONFLICT,),
        long=True,
    ),
    Scenario(
        name="move",
        words=("move", "one", "--to", "@/elsewhere"),
        prepare=with_a_file,
        wanted=moved,
        done=(NOT_FOUND,),
        long=True,
    ),
)
