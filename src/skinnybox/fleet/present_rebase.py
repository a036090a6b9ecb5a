"""The stable forms of what a rebase would do (see present)."""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from skinnybox.fleet.present import Record
from skinnybox.printable import printable_path

if TYPE_CHECKING:
    from skinnybox.delta.rebase.values import Decision
    from skinnybox.fleet.batch import Outcome
    from skinnybox.fleet.rebase_explained import Explained
    from skinnybox.fleet.rebase_plan import Summary
    from skinnybox.fleet.rebase_run import Moved
    from skinnybox.fleet.view import MachineView
    from skinnybox.masters.index import Entry
    from skinnybox.model import Instance

VERDICTS = {"clean": "clean", "conflict": "conflicts", "blocked": "blocked"}


def summary(found: "Summary", decisions: "Iterable[Decision] | None" = None) -> Record:
    """`packages`, `accounts` and `files` are numbers by class; `told` what is in dispute or to be known, and
    `decisions` all there are, null where they were not asked for."""
    from skinnybox.delta.rebase.values import Standing

    return {
        "name": found.name,
        "master": found.old,
        "onto": found.new,
        "verdict": "there" if found.there else VERDICTS[found.standing],
        "conflicts": found.number(Standing.CONFLICT),
        "blocked": found.number(Standing.BLOCKED),
        "packages": _classes(found, "package"),
        "accounts": _classes(found, "user", "group", "subordinate ids"),
        "files": _classes(found, "file"),
        "services": _classes(found, "service"),
        "renumbered": found.renumbered,
        "told": [decision(each) for each in found.told],
        "decisions": None if decisions is None else [decision(each) for each in decisions],
    }


def decision(found: "Decision") -> Record:
    """A path is escaped so that its bytes can be got back."""
    name = found.name
    if found.subject == "file":
        name = printable_path(b"/" + name.encode("utf-8", "surrogateescape"))
    return {
        "what": str(found.subject),
        "class": str(found.kind),
        "fate": str(found.fate),
        "name": name,
        "detail": found.detail,
        "standing": str(found.standing),
        "owner": found.owner or None,
    }


def trial(instance: "Instance") -> Record | None:
    """From its rebase on until that is committed or taken back; `kept` is the snapshot that leads back, and
    `until` when a trial that was begun is over."""
    from skinnybox.fleet.trial_words import deadline

    found, until = instance.trial, deadline(instance)
    if found is None:
        return None
    return {
        "phase": str(found.phase),
        "before": found.before.reference,
        "kept": found.kept,
        "since": found.since.isoformat(timespec="seconds"),
        "until": until.isoformat(timespec="seconds") if until else None,
        "keep_until": found.keep_until.isoformat(timespec="seconds") if found.keep_until else None,
    }


def tasks(view: "MachineView") -> Record | None:
    """What its guest says of what a rebase left it to do; None where it says nothing of one."""
    found = view.current_report and view.current_report.rebase
    return {"id": found.identifier, "done": found.done, "why": found.why} if found else None


def moved(result: "Outcome[Moved]") -> Record:
    """What became of one machine; `state` is `failed` for one with an error. `from` and `onto` are None where
    that came first."""
    found, error = result.value, result.error
    if found is None:
        return {
            "name": result.name,
            "from": None,
            "onto": None,
            "state": "failed",
            "kept": None,
            "until": None,
            "reason": error.message if error else None,
            "hint": error.hint if error else None,
        }
    return {
        "name": found.name,
        "from": found.old,
        "onto": found.new,
        "state": str(found.stage),
        "kept": found.kept,
        "until": found.until.isoformat(timespec="seconds") if found.until else None,
        "reason": found.why,
        "hint": None,
    }


def explained(found: "Explained") -> Record:
    """`below` are numbers of decisions by standing, and a path of the worst, null where there are none."""
    from skinnybox.delta.rebase.values import Standing
    from skinnybox.fleet.rebase_explained import WHY

    first = None if found.first is None else b"/" + found.first.encode("utf-8", "surrogateescape")
    return {
        "path": printable_path(found.path.encode("utf-8", "surrogateescape")),
        "decisions": [{**decision(each), "why": WHY.get(each.kind)} for each in found.decisions],
        "below": {
            **{str(each): found.below[each] for each in Standing},
            "first": None if first is None else printable_path(first),
        },
        "old": _entry(found.old),
        "new": _entry(found.new),
    }


def _entry(found: "Entry | None") -> Record | None:
    if found is None:
        return None
    return {
        "type": found.type,
        "mode": f"{found.mode:04o}",
        "uid": found.uid,
        "gid": found.gid,
        "size": found.size,
        "digest": found.digest,
        "target": None if found.target is None else printable_path(found.target),
    }


def _classes(found: "Summary", *subjects: str) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for (subject, kind, _, _), number in found.counts.items():
        if subject in subjects:
            counts[kind] += number
    return dict(sorted(counts.items()))
