"""Commands in machines, by ssh."""

import contextlib
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox import run
from skinnybox.errors import Cancelled, Conflict, NotReached, SkinnyboxError, TimedOut
from skinnybox.fleet.access import USUAL, Login, ssh_argv
from skinnybox.fleet.as_job import as_job
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.fleet.conversation import Beginning, Streams, converse
from skinnybox.fleet.machine_queries import MachineQueries
from skinnybox.fleet.spool import Spool
from skinnybox.fleet.view import MachineView
from skinnybox.operation import UNATTENDED, Operation
from skinnybox.sizes import KIB, MIB

if TYPE_CHECKING:
    from skinnybox.fleet.context import Context
    from skinnybox.fleet.sftp.session import Session

MOST_OUTPUT, MOST_TOGETHER = 4 * MIB, 256 * MIB
"""Bytes that are kept of each stream of a command, and of those of all machines together."""
_LEAST = 64 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command wrote to one of its streams, from the beginning; `cut` counts the bytes that came after
    what is kept."""

    content: bytes = b""
    cut: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """How a command in a machine ended, and what it said. `code` is 255 also for one that a signal ended, and
    None when `error` ended it: NotReached, TimedOut, Cancelled."""

    code: int | None
    out: Said = Said()
    err: Said = Said()
    error: SkinnyboxError | None = None

    @property
    def stdout(self) -> bytes:
        return self.out.content

    @property
    def stderr(self) -> bytes:
        return self.err.content


class Remote:
    """Of one state folder on one host. A command that fails is a value; NotReached is ssh's own failure. In
    `timeout` seconds a command has to end, the way to it included: else TimedOut."""

    def __init__(
        self, keys: Path, queries: MachineQueries, catalog: Catalog, context: "Callable[[], Context]"
    ) -> None:
        """`keys` is the folder with the fleet's own key; `context` is made for who needs it."""
        self._keys, self._queries, self._catalog, self._context = keys, queries, catalog, context

    @as_job("ssh")
    def ssh(
        self,
        name: str,
        command: Sequence[str] = (),
        login: Login | None = None,
        options: Sequence[str] = (),
    ) -> int:
        """Hand the terminal to ssh; returns its exit code. `options` as ssh_words.py makes them."""
        machine = self._queries.machine(name)
        argv = ssh_argv(self._keys, machine, login or USUAL, batch=False, options=options)
        return run.interactive([*argv, *command], keep=(login or USUAL).variables)

    @as_job("exec")
    def attach(
        self,
        name: str,
        command: Sequence[str],
        streams: Streams,
        *,
        login: Login | None = None,
        timeout: float | None = None,
        operation: Operation = UNATTENDED,
    ) -> int:
        """Run a command in one machine, joined to these streams; its exit code. Its words are quoted, so that
        the remote shell sees them as they are. NotReached, TimedOut, Cancelled."""
        machine = self._queries.machine(name)
        argv = ssh_argv(self._keys, machine, login or USUAL, batch=True)
        words, keep = shlex.join(command), (login or USUAL).variables
        return converse(machine.name, argv, words, streams, keep=keep, timeout=timeout, operation=operation)

    @as_job("cp")
    def fetch(
        self,
        name: str,
        sources: Sequence[str],
        target: Path,
        *,
        recursive: bool = False,
        login: Login | None = None,
        operation: Operation = UNATTENDED,
    ) -> None:
        """Copy files out of a machine: see sftp/fetch.py. Of one that is off, read from its disks."""
        from skinnybox.fleet import copying, power, switched_off

        machine = self._queries.machine(name)
        if power.running(machine):
            with self._session(machine, login, operation) as session:
                copying.fetch_all(name, session, sources, target, recursive, operation)
            return
        with switched_off.opened(self._context(), machine, operation, recursive=recursive) as off:
            copying.fetch_all(name, off, sources, target, recursive, operation)

    @as_job("cp")
    def send(
        self,
        name: str,
        sources: Sequence[Path],
        target: str,
        *,
        recursive: bool = False,
        login: Login | None = None,
        operation: Operation = UNATTENDED,
    ) -> None:
        """Copy files into a machine that runs: see sftp/send.py. Conflict of one that is off."""
        from skinnybox.fleet import copying, power

        machine = self._queries.machine(name)
        if not power.running(machine):
            why = f"{name} is off, and only the machine itself writes to its disks"
            raise Conflict(why, hint=f"skinnybox start {name}")
        with self._session(machine, login, operation) as session:
            copying.send_all(session, sources, target, recursive, operation)

    def _session(
        self, machine: MachineView, login: Login | None, operation: Operation
    ) -> "contextlib.AbstractContextManager[Session]":
        from skinnybox.fleet import copying

        argv = ssh_argv(self._keys, machine, login or USUAL, batch=True)
        return copying.session(machine.name, argv, (login or USUAL).variables, operation)

    @as_job("exec")
    def execute(
        self,
        patterns: Sequence[str],
        command: Sequence[str],
        *,
        login: Login | None = None,
        stdin: Spool | None = None,
        timeout: float | None = None,
        parallel: int | None = None,
        operation: Operation = UNATTENDED,
    ) -> list[Outcome[Executed]]:
        """Run a command in machines, a few at the same time, and keep what each says. Each reads the whole of
        `stdin`; without, nothing."""
        count = len(self._queries.machines(patterns))
        keep = (login or USUAL).variables
        most = max(_LEAST, min(MOST_OUTPUT, MOST_TOGETHER // (2 * max(1, count))))

        def one(machine: MachineView, operation: Operation) -> Executed:
            argv = ssh_argv(self._keys, machine, login or USUAL, batch=True)
            out, err = Beginning(most), Beginning(most)
            code, error = None, None
            with contextlib.ExitStack() as ours:
                source = ours.enter_context(stdin.reader()) if stdin else None
                streams = Streams(stdin=source, stdout=out, stderr=err)
                words = shlex.join(command)
                try:
                    code = converse(
                        machine.name, argv, words, streams, keep=keep, timeout=timeout, operation=operation
                    )
                except (NotReached, TimedOut, Cancelled) as ended:  # what it said until then is worth having
                    error = ended
            return Executed(code=code, out=_said(out), err=_said(err), error=error)

        return self._queries.each(patterns, one, "exec", operation, parallel, decides=False)


def _said(kept: Beginning) -> Said:
    """Of a text that was cut not half a character: that would make it none."""
    content, cut = kept.content, kept.cut
    if cut:
        try:
            content.decode()
        except UnicodeDecodeError as error:
            if error.reason == "unexpected end of data":
                return Said(content=content[: error.start], cut=cut + len(content) - error.start)
    return Said(content=content, cut=cut)
