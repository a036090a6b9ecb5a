"""A master edited: a machine of its own is made of it, somebody works in that, and it is sealed as another.

The machine's name is made of the new master's, and a label says which process it belongs to. Whoever is
killed leaves it: `repair` tells of it, and deletes it where a script was to do the work, which can do so
again (fleet/repair/master_edits.py).
"""

import contextlib
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skinnybox.errors import CommandFailed, Conflict, SkinnyboxError
from skinnybox.fleet.as_job import as_job
from skinnybox.fleet.catalog.owner import process_mark
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.spool import Spool
from skinnybox.model import Allocation, Master, Overlay, check_name, parse_reference
from skinnybox.operation import UNATTENDED, Operation
from skinnybox.printable import printable
from skinnybox.sizes import GIB

if TYPE_CHECKING:
    from skinnybox.fleet.batch import Outcome
    from skinnybox.fleet.service import Fleet
    from skinnybox.fleet.specification import Specification

LABEL, SCRIPT, SESSION = "skinnybox/master-edit", "script", "session"
"""Of its value: the process, and what does the work."""
PREFIX = "edit-"
_LONGEST = 63
_SAID = 1000
OVERLAY, MEMORY = 4 * GIB, 1 * GIB
"""Of the machine, where nobody says otherwise."""
RUN = """
umask 077
f=$(mktemp) && cat >"$f" && chmod 700 "$f" || exit 125
umask 022
"$f" </dev/null
c=$?
rm -f "$f"
exit $c
"""
"""A shell's words in the machine, which run the script that they read."""
Work = Callable[[str], bool]
"""Is given the machine's name when that is ready; whether it is to be sealed. What it raises ends it all."""


class MasterEdits:
    """`fleet.master_edits` of a Fleet. Everything here blocks."""

    def __init__(self, fleet: "Fleet") -> None:
        self._fleet = fleet
        self._catalog = fleet._catalog

    @as_job("master edit")
    def edit(
        self,
        reference: str,
        new: str,
        work: Work,
        specification: "Specification",
        operation: Operation = UNATTENDED,
        *,
        keep: bool = False,
        by_script: bool = False,
    ) -> Master | None:
        """Seal as `new` what `work` makes of a machine of a master; None when it makes nothing of it. The
        machine is gone afterwards, unless `keep`, or what was done in it could not be sealed: that error says
        where it is. Conflict for a master, or a machine, that is there."""
        self._refuse_taken(new)
        name = name_of(new)
        owner = f"{process_mark()}/{SCRIPT if by_script else SESSION}"
        owned = replace(specification, labels=((LABEL, owner),))
        self._fleet.create([name], reference, owned, operation=operation)
        done = False
        try:
            _ended(self._fleet.start([name], operation=operation))
            done = work(name)
            master = self._sealed(name, new, operation) if done else None
        except BaseException as error:
            self._leave(name, keep=keep or done)
            if done and isinstance(error, SkinnyboxError):
                _say_where(error, name, new)
            raise
        self._leave(name, keep=keep)
        return master

    def run(
        self,
        reference: str,
        new: str,
        script: str,
        specification: "Specification",
        operation: Operation = UNATTENDED,
        *,
        keep: bool = False,
    ) -> Master | None:
        """The same where a script does the work, as root. CommandFailed, with the end of what it said, for
        one that fails: nothing is sealed then."""

        def work(name: str) -> bool:
            self._run(name, script, operation)
            return True

        return self.edit(reference, new, work, specification, operation, keep=keep, by_script=True)

    def _run(self, name: str, script: str, operation: Operation) -> None:
        text = script if script.startswith("#!") else f"#!/bin/sh -eu\n{script}\n"
        with tempfile.TemporaryFile() as file:
            file.write(text.encode())
            file.flush()
            [outcome] = self._fleet.remote.execute(
                [name], ["sh", "-c", RUN], stdin=Spool(file), operation=operation
            )
        found = outcome.value
        error = outcome.error or (found.error if found else None)
        if error is not None:
            raise error
        if found is not None and found.code:
            said = (found.stdout + found.stderr).decode("utf-8", "replace").strip()
            raise CommandFailed(
                f"the script ended with {found.code}: nothing is sealed", returncode=found.code, stderr=said,
                hint=printable(said[-_SAID:]) or "it said nothing",
            )  # fmt: skip

    def _refuse_taken(self, new: str) -> None:
        """Before somebody works for an hour."""
        wanted = parse_reference(new)
        if any((master.name, master.version) == wanted for master in self._fleet.masters.all()):
            raise Conflict(f"{new} is sealed already", hint="give another version: a master never changes")
        if (name := name_of(new)) in self._fleet.names():
            raise Conflict(
                f"there is a machine {name} already, as an edit makes one",
                hint=f"`skinnybox promote {name} {new}` seals what is in it; or delete it",
            )

    def _sealed(self, name: str, new: str, operation: Operation) -> Master:
        _ended(self._fleet.stop([name], Stopping(), operation))
        return self._fleet.deltas.promote(name, new, operation)

    def _leave(self, name: str, *, keep: bool) -> None:
        """An ordinary machine from now on, or none. Also for who was cancelled: so it is no part of that."""
        if keep:
            with contextlib.suppress(SkinnyboxError):
                self._fleet.set([name], {"labels": ()})
            return
        _ended(self._fleet.delete([name], force=True))


def specification_of(overlay: int | None = None, memory: int | None = None, cpus: int = 1) -> "Specification":
    """Of a machine to work in; sizes in bytes. Its disk takes no more than what is written there."""
    from skinnybox.fleet.specification import Specification

    return Specification(
        overlay=Overlay(size=overlay or OVERLAY, allocation=Allocation.SPARSE),
        memory=memory or MEMORY,
        cpus=cpus,
        any_allocation=True,
    )


def name_of(new: str) -> str:
    """What the machine is called in which this master is made."""
    return check_name(re.sub(r"[^a-z0-9]+", "-", f"{PREFIX}{new}".lower())[:_LONGEST].strip("-"))


def _say_where(error: SkinnyboxError, name: str, new: str) -> None:
    way = f"what was done is in {name}: `skinnybox promote {name} {new}` tries again"
    error.hint = f"{error.hint}; {way}" if error.hint else way


def _ended(results: "Sequence[Outcome[Any]]") -> None:
    for result in results:
        if result.error is not None:
            raise result.error
