"""What the gate hears from the small machine, where a stranger's scripts run, and what it tells a person."""

from pathlib import Path

import pytest

from skinnybox.delta.rebase.examining import Examined
from skinnybox.delta.rebase.findings import MOST, Finding, FindingKind
from skinnybox.errors import Blocked
from skinnybox.fleet import rebase_gate
from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.rebase_gate import Heard
from skinnybox.fleet.view import MachineView
from skinnybox.operation import Operation, Step
from tests.samples import a_master, an_instance


def heard(*lines: str) -> list[str]:
    found = Heard(Operation())
    for line in lines:
        found(line)
    return [f"{each.kind}: {each.text}" for each in found.findings]


def test_a_line_is_a_finding_of_a_known_kind_or_nothing() -> None:
    assert heard("verify missing   /usr/bin/a", "audit  b  is half-way") == [
        "verify: missing   /usr/bin/a", "audit: b  is half-way",
    ]  # fmt: skip
    for line in ("", "verify", "verify ", "owner /etc is mine", "library a", "done", "verify a\x1b[2J", "at"):
        assert heard(line) == []


def test_what_is_said_without_an_end_is_kept_to_a_bound() -> None:
    assert len(heard(*(f"check {number}" for number in range(10 * MOST)))) == MOST
    assert heard("check " + "x" * 401) == []


def test_progress_is_in_words_of_ours() -> None:
    steps: list[Step] = []
    listening = Heard(Operation(steps.append))
    for line in ("at verify new", "at nowhere", "at ../../x", "at verify " + "x" * 50):
        listening(line)
    assert [step.detail for step in steps] == ["dpkg --verify", "inside"]


def examined(**more: object) -> Examined:
    given = {"findings": (), "more": 0, "programs": 0, "dpkg": True, "packages": False, **more}
    return Examined(**given)  # type: ignore[arg-type]


def test_a_machine_is_booted_only_where_its_package_manager_may_know_more() -> None:
    assert not rebase_gate.is_to_be_asked(examined())
    assert rebase_gate.is_to_be_asked(examined(packages=True))
    assert rebase_gate.is_to_be_asked(examined(programs=1))
    assert not rebase_gate.is_to_be_asked(examined(dpkg=False, packages=True, programs=1))


@pytest.mark.parametrize(
    ("kind", "replay"),
    [(FindingKind.LIBRARY, "installs them anew"), (FindingKind.PRIVILEGE, "would not help")],
)
def test_who_is_refused_hears_what_is_missing_and_what_would_help(kind: FindingKind, replay: str) -> None:
    machine = MachineView(instance=an_instance("web-01"), phase=Phase.DEFINED)
    found = tuple(Finding.of(kind, f"thing {number}") for number in range(5))
    with pytest.raises(
        Blocked, match=f"web-01 would not be whole on .*{kind}: thing 2; and 9 more"
    ) as caught:
        rebase_gate._refuse(machine, a_master(), found, 7)
    assert replay in (caught.value.hint or "")
    rebase_gate._refuse(machine, a_master(), ())


def test_the_program_is_beside_the_others() -> None:
    assert (
        (Path(__file__).parents[2] / "guest/appliance" / rebase_gate._NAME)
        .read_text()
        .startswith("#!/bin/sh")
    )
