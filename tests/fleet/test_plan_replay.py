"""A master of another release in a fleet file: blocked, or with its word there and --rebase a replay."""

from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.delta.rebase.replay import Replay as Found
from skinnybox.errors import UsageError
from skinnybox.fleet.plan.actions import Action, Choices, Target, Verb, plan
from skinnybox.fleet.plan.values import Desired, Replay
from skinnybox.fleet.rebase_look import Look
from skinnybox.fleet.rebase_replay import Replaying
from skinnybox.fleet.service import Fleet
from skinnybox.operation import Operation
from tests.fleet.conftest import SPARSE, said
from tests.fleet.planned import FLEET, LAMP1, LAMP2, machine, wanted
from tests.fleet.rebasing import agrees
from tests.fleet.test_rebase import _tree
from tests.fleet.test_rebase_do import fleet, two_masters, web
from tests.samples import seal

__all__ = ["fleet", "two_masters", "web"]

OTHERWISE = Replay(without=("own",), instead=(("php7.4", "php8.2"),), after=("a2enmod rewrite",))
RELEASES = {LAMP1.master: "debian 12", LAMP2.master: "debian 13"}


def planned(
    replay: Replay | None, releases: dict[str, str], *, rebase: bool = True, also: bool = False
) -> tuple[Action, ...]:
    to_be = replace(wanted(stack=LAMP2), replay=replay, state=Target.RUNNING)
    desired = Desired(fleet=FLEET, machines=(to_be,), releases=releases)
    return plan(desired, [machine(wanted())], Choices(rebase=rebase, replay=also))


def test_onto_another_release_it_is_a_replay_and_says_what_comes_otherwise() -> None:
    action, start = planned(OTHERWISE, RELEASES)
    assert (action.verb, start.verb) == (Verb.REBASE, Verb.START)
    assert action.note == (
        "onto another release, with its packages installed again (without own, php8.2 instead of php7.4, "
        "then a2enmod rewrite); on trial, with the way back"
    )
    assert action.wanted is not None and action.wanted.replay == OTHERWISE


def test_without_its_word_it_is_blocked_and_says_which() -> None:
    *_, action = planned(None, RELEASES)
    assert action.verb is Verb.BLOCKED and "of another release" in (action.reason or "")
    assert action.hint == "`replay: true` beside `master:` says that they may be, and --replay says it once"
    [_, action] = planned(OTHERWISE, RELEASES, rebase=False)
    assert action.verb is Verb.BLOCKED and "--rebase" in (action.hint or "")


def test_who_applies_it_may_say_it_and_what_the_file_says_of_it_still_counts() -> None:
    action = planned(None, RELEASES, also=True)[0]
    assert (action.verb, action.wanted and action.wanted.replay) == (Verb.REBASE, Replay())
    assert (
        action.note == "onto another release, with its packages installed again; on trial, with the way back"
    )
    action = planned(OTHERWISE, RELEASES, also=True)[0]
    assert action.wanted is not None and action.wanted.replay == OTHERWISE
    action = planned(None, {**RELEASES, LAMP2.master: "debian 12"}, also=True)[0]
    assert action.wanted is not None and action.wanted.replay is None
    with pytest.raises(UsageError, match="no rebase is asked for"):
        Choices(replay=True)


@pytest.mark.parametrize("releases", [{**RELEASES, LAMP2.master: "debian 12"}, {}, {LAMP1.master: "x 1"}])
def test_inside_one_release_nothing_is_installed_again(releases: dict[str, str]) -> None:
    action = planned(OTHERWISE, releases)[0]
    assert action.verb is Verb.REBASE and action.note == "on trial, with the way back"
    assert action.wanted is not None and action.wanted.replay is None


FILE = (
    "version: 1\nfleet: w\nmachines:\n"
    "  web: {master: 'web:VERSION', overlay: 64M, sparse: true, memory: 256M, cpus: 1REPLAY}\n"
)
REPLAY = ", replay: {without: [own], instead: {a-1: a-2}, after: [a2enmod rewrite]}"


@pytest.fixture
def next_release(state: Path, fleet: Fleet, tmp_path: Path) -> None:
    root = tmp_path / "tree-web-3"
    _tree(root, "2")
    (root / "etc/os-release").write_text('ID=debian\nVERSION_ID="99"\nPRETTY_NAME="Debian"\n')
    seal(state, tmp_path, "web", "3", unrelated=True)


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch) -> list[Replaying]:
    """How packages were installed again, of each machine of which they were."""
    found: list[Replaying] = []

    def seen(self: Look, wanted: Found, how: Replaying, operation: Operation) -> None:
        found.append(how)

    monkeypatch.setattr(Look, "install_again", seen)
    return found


@pytest.mark.usefixtures("web", "next_release")
def test_apply_does_it(
    fleet: Fleet, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], again: list[Replaying]
) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(FILE.replace("VERSION", "3").replace("REPLAY", ""))
    blocked = said(capsys, "plan", str(file), "--adopt", "--rebase")
    assert blocked.code == 5 and "`replay: true` beside `master:`" in blocked.out
    failed = said(capsys, "apply", str(file), "--adopt", "--rebase")
    assert failed.code == 5 and "replay: true" in failed.err and not again
    assert agrees(fleet, state, "web").instance.stack.reference == "web:1"
    file.write_text(FILE.replace("VERSION", "3").replace("REPLAY", REPLAY))
    shown = said(capsys, "plan", str(file), "--rebase")
    assert shown.code == 0 and "a-2 instead of a-1, then a2enmod rewrite" in shown.out
    done = said(capsys, "apply", str(file), "--rebase", "--timeout", "60")
    assert done.code == 0 and "web: master: web:1 -> web:3, passed" in done.out, done
    [how] = again
    assert how.after == ("a2enmod rewrite",)
    assert (how.otherwise.without, how.otherwise.instead) == (frozenset({"own"}), {"a-1": "a-2"})
    assert agrees(fleet, state, "web").instance.stack.reference == "web:3"
    assert said(capsys, "plan", str(file), "--exit-code").code == 0


@pytest.mark.usefixtures("web", "next_release")
def test_inside_one_release_apply_merges(
    fleet: Fleet, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], again: list[Replaying]
) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(FILE.replace("VERSION", "2").replace("REPLAY", REPLAY))
    assert said(capsys, "apply", str(file), "--adopt", "--rebase", "--timeout", "60").code == 0
    assert agrees(fleet, state, "web").instance.stack.reference == "web:2" and not again


@pytest.mark.usefixtures("web", "next_release")
def test_each_goes_there_as_it_says(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str], again: list[Replaying]
) -> None:
    fleet.create(["db"], "web:1", SPARSE)
    text = FILE.replace("VERSION", "3")
    db = text.splitlines()[-1].replace("web:", "db:", 1).replace("REPLAY", ", replay: true")
    file = tmp_path / "fleet.yaml"
    file.write_text(f"{text.replace('REPLAY', REPLAY)}{db}\n")
    assert said(capsys, "apply", str(file), "--adopt", "--rebase", "--timeout", "60").code == 0
    assert {how.after for how in again} == {("a2enmod rewrite",), ()} and len(again) == 2
