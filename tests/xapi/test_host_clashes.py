"""Another command comes at each call of the host: what was deleted does not stand in the pool again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from skinnybox.errors import Conflict, NotFound
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.service import Fleet
from skinnybox.hosts.base import Host
from skinnybox.sizes import MIB
from tests.emulators.xapi import EmulatedPool
from tests.pausing import Pausing
from tests.xapi.furnished import all_of, host_on, plain_disk
from tests.xapi.test_host_fleet import SMALL

pytestmark = pytest.mark.image

VERBS: dict[str, Callable[[Fleet], "list[Outcome[Any]]"]] = {
    "reset": lambda fleet: fleet.overlays.reset(["web"]),
    "set": lambda fleet: fleet.set(["web"], {"memory": 512 * MIB}),
    "grow": lambda fleet: fleet.overlays.grow(["web"], 72 * MIB),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_machine_that_is_deleted_meanwhile_stays_so(pool: EmulatedPool, state: Path, verb: str) -> None:
    pausing = Pausing(host_on(pool, state, make_disk=plain_disk))
    with (
        Fleet(state, cast("Host", pausing), boots_at_once=2) as ours,
        Fleet(state, host_on(pool, state, make_disk=plain_disk), boots_at_once=2) as theirs,
    ):
        deleted: list[Outcome[None]] = []
        pausing.other = lambda: deleted.extend(theirs.delete(["web"]))
        at = 1
        while True:
            if not ours.names():
                ours.create(["web"], "tiny", SMALL)
            deleted.clear()
            pausing.calls, pausing.at = 0, at
            [outcome] = VERBS[verb](ours)
            if pausing.at is not None:  # it ended before that call: all have been tried
                pausing.at = None
                break
            assert outcome.error is None or isinstance(outcome.error, Conflict | NotFound), (at, outcome)
            assert len(deleted) == 1 and (deleted[0].ok or isinstance(deleted[0].error, Conflict)), at
            standing = [machine for machine in all_of(pool, "VM") if machine["name_label"] == "web"]
            assert len(standing) == len(ours.names()) == (0 if deleted[0].ok else 1), (at, deleted, outcome)
            at += 1
        assert at > 5
