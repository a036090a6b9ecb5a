"""What becomes of a rebase where the master is of another release: a replay, if the file says so. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from skinnybox.fleet.plan.of_stack import TRIAL
from skinnybox.fleet.plan.values import Action, Replay, Verb
from skinnybox.model import Stack

REFUSED = "it is of another release: its packages have to be installed again"
SAY = "`replay: true` beside `master:` says that they may be, and --replay says it once"


def settled(action: Action, releases: Mapping[str, str], *, replay: bool = False) -> Action:
    """A rebase as it will be done. Inside one release what a file says of a replay counts for nothing: it may
    well stay there for the next ones. With `replay` a file that says nothing of it need not."""
    if action.verb is not Verb.REBASE or action.wanted is None or action.instance is None:
        return action
    if not _is_another(action.instance.stack, action.wanted.stack, releases):
        return replace(action, wanted=replace(action.wanted, replay=None))
    how = action.wanted.replay or (Replay() if replay else None)
    if how is None:
        return replace(action, verb=Verb.BLOCKED, wanted=None, reason=REFUSED, hint=SAY, note=None)
    return replace(action, wanted=replace(action.wanted, replay=how), note=f"{_told(how)}; {TRIAL}")


def _is_another(has: Stack, wanted: Stack, releases: Mapping[str, str]) -> bool:
    """As far as both are known: who carries it out looks at the machine itself as well."""
    return len({releases[each.master] for each in (has, wanted) if each.master in releases}) > 1


def _told(replay: Replay) -> str:
    said = [
        *(f"without {name}" for name in replay.without),
        *(f"{new} instead of {old}" for old, new in replay.instead),
        *(f"then {command}" for command in replay.after),
    ]
    otherwise = f" ({', '.join(said)})" if said else ""
    return f"onto another release, with its packages installed again{otherwise}"
