"""What is heard from the small machine that installs packages again, and what becomes of it."""

from pathlib import Path

import pytest

from skinnybox.appliance.appliance import Appliance
from skinnybox.delta.rebase.replay import Otherwise, Replay
from skinnybox.errors import Blocked, GuestFailed, NoSpace, TimedOut
from skinnybox.fleet import rebase_replay
from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.rebase_replay import Heard, Replaying
from skinnybox.fleet.view import MachineView
from skinnybox.operation import Operation, Step
from skinnybox.overlays import edit
from tests.samples import a_master, an_instance

MACHINE = MachineView(instance=an_instance("web-01"), phase=Phase.DEFINED)


def heard(*lines: str) -> Heard:
    found = Heard(Operation())
    for line in lines:
        found(line)
    return found


def test_what_failed_is_a_finding_whatever_is_said_of_it() -> None:
    """None at all would mean that everything was installed."""
    for line in ("after", "after ", "lost x", "install " + "x" * 5000, "hold  two  words"):
        [(kind, text)] = heard(line).found
        assert kind == line.split()[0] and 0 < len(text) <= 400
    for line in ("", "done", "afterwards a", "at", "at x y", "owner a"):
        assert heard(line).found == []


def test_what_is_said_without_an_end_is_kept_to_a_bound() -> None:
    found = heard(*(f"{kind} {number}" for number in range(1000) for kind in ("install", "note")))
    assert len(found.found) == len(found.notes) == 100


def test_progress_is_in_words_of_ours() -> None:
    steps: list[Step] = []
    listening = Heard(Operation(steps.append))
    for line in ("at install", "at nowhere", "at ../../x", "at " + "x" * 50):
        listening(line)
    assert [step.detail for step in steps] == ["packages, with their maintainer scripts", "inside"]


@pytest.mark.parametrize(
    ("kind", "hint"), [("lost", "--after COMMAND"), ("after", "no service"), ("install", "--instead OLD=NEW")]
)
def test_who_is_refused_hears_why_and_what_would_help(kind: str, hint: str) -> None:
    found = [(kind, f"thing {number}") for number in range(7)]
    with pytest.raises(Blocked, match=r"web-01 .* stays as it was.*thing 4; and 2 more") as caught:
        rebase_replay._refuse(MACHINE, a_master(), found)
    assert hint in (caught.value.hint or "")
    rebase_replay._refuse(MACHINE, a_master(), [])


def test_what_took_too_long_is_told_as_that() -> None:
    """Also when lines of apt's come first: no package has to be left out then."""
    found = heard("install E: Sub-process was ended", "late install it took too long, and was ended").found
    with pytest.raises(TimedOut, match=r"web-01 stays as it was: .*was ended; install it took") as caught:
        rebase_replay._refuse(MACHINE, a_master(), found)
    assert "when less is going on" in (caught.value.hint or "")


def test_steps_end_before_the_whole_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nobody is told which of them took so long."""
    told: list[Appliance] = []
    monkeypatch.setattr(rebase_replay, "operate", lambda appliance, *_: told.append(appliance))
    monkeypatch.setattr(edit, "settled", lambda _: None)
    how = Replaying(archive=lambda: pytest.fail("nothing is to be fetched"))
    rebase_replay.reinstalled(
        tmp_path / "new", MACHINE, a_master(), tmp_path, Replay(), how, tmp_path, Operation()
    )
    assert 0 < int(told[0].files["seconds"]) <= told[0].seconds - 120


def test_wishes_are_a_line_each() -> None:
    wanted = Replay(
        install=("a", "b"), automatic=("c",), remove=("d",), purge=("e",), hold=("a",),
    )  # fmt: skip
    lines = rebase_replay._wishes(wanted, Otherwise(without=frozenset({"y.service", "xx"}))).decode()
    said = set(lines.splitlines())
    assert {"install a", "install b", "automatic c", "purge e", "hold a", "without xx"} <= said
    assert {"remove d", "remove e", "without y.service"} <= said


@pytest.mark.parametrize(("why", "error"), [("the disk is full", NoSpace), ("no disk found", GuestFailed)])
def test_a_full_overlay_is_told_as_such_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str, error: type[Exception]
) -> None:
    def fails(*_: object) -> None:
        raise GuestFailed(f"replay: {why}")

    monkeypatch.setattr(rebase_replay, "operate", fails)
    how = Replaying(archive=lambda: pytest.fail("nothing is to be fetched"))
    with pytest.raises(error):
        rebase_replay.reinstalled(
            tmp_path / "new", MACHINE, a_master(), tmp_path, Replay(), how, tmp_path, Operation()
        )
    assert list(tmp_path.iterdir()) == []
