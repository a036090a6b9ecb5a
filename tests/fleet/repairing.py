"""What the tests of `repair` share."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from skinnybox.fleet.registry import open_host
from skinnybox.fleet.repair import repair
from skinnybox.fleet.repair.examine import examine as examine_folder
from skinnybox.hosts.record import to_record
from skinnybox.issues import Deed
from skinnybox.model import Instance


def found(state: Path, **options: bool) -> dict[str, tuple[Deed, str]]:
    """What a dry run says, by path within the state folder."""
    host = open_host("memory", state)
    seen = examine_folder(state, host, **options).findings
    return {str(finding.path.relative_to(state)): (finding.deed, finding.what) for finding in seen}


def mended(state: Path, **options: bool) -> dict[str, tuple[Deed, str]]:
    """The same, done; the second time there is nothing left to do."""
    planned = found(state, **options)
    host = open_host("memory", state)
    assert [outcome.error for outcome in repair.repair(state, host, **options) if outcome.error] == []
    again = found(state, **options)
    assert {deed for deed, _ in again.values()} <= {Deed.KEEP}, again
    return planned


def place(state: Path, instance: Instance) -> Path:
    return state / "instances" / str(instance.uuid)


def lose(state: Path) -> None:
    for path in state.glob("state.db*"):
        path.unlink()


def second(state: Path, of: Instance, **fields: object) -> Instance:
    """A machine with a record and an overlay that nobody remembers."""
    other = replace(of, uuid=uuid4(), **fields)  # type: ignore[arg-type]
    shutil.copytree(place(state, of), place(state, other))
    (place(state, other) / "instance.json").write_text(json.dumps(to_record(other)))
    return other
