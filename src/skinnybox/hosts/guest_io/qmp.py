"""QEMU's machine protocol: a greeting, then JSON objects, one a line. Blocking, one client at a time."""

import json
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from skinnybox.errors import CommandFailed, Conflict, TimedOut
from skinnybox.hosts.guest_io.run_folder import connect
from skinnybox.printable import printable

_LONGEST = 1 << 20
_LONGEST_REASON = 1000
_TIMEOUT = 10.0
_NO_ANSWER = (AttributeError, LookupError, OverflowError, TypeError, ValueError)
"""What comes of looking for something in what is not there, or is of another type."""


class Monitor:
    """A conversation with one QEMU; `timeout` is seconds for each answer. Not for several threads.

    Raises Conflict when no QEMU listens, TimedOut when it does not answer, CommandFailed for what it refuses.
    A guest may have taken that QEMU over: what is looked for in an answer, within `with`, and is not as it
    must be, is CommandFailed too.
    """

    def __init__(self, folder: Path, name: str = "qmp", timeout: float = _TIMEOUT) -> None:
        self._timeout = timeout
        self._buffer = b""
        try:
            self._socket = connect(folder, name, timeout)
        except OSError as error:
            raise Conflict(f"no machine answers in {folder}: {error}") from error
        try:
            self._line(self._deadline())
            self.execute("qmp_capabilities")
        except BaseException:
            self.close()
            raise

    def execute(self, command: str, **arguments: object) -> Any:
        """What QEMU returns. Events in between are skipped."""
        return self._asked(command, arguments, ())

    def add_file(self, descriptor: int, tag: str) -> int:
        """Hand QEMU an open file; the number of the /dev/fdset it is in. It is gone with this conversation
        when nothing has opened it by then."""
        answer = self._asked("add-fd", {"opaque": tag}, [descriptor])
        return int(answer["fdset-id"])

    def _asked(self, command: str, arguments: dict[str, object], descriptors: Sequence[int]) -> Any:
        request = {"execute": command, "arguments": arguments}
        try:
            self._send(json.dumps(request).encode() + b"\n", descriptors)
        except OSError as error:
            raise Conflict(f"the machine has ended before {command}") from error
        deadline = self._deadline()  # of the answer: one who talks of events for ever gives none
        while True:
            answer = self._line(deadline)
            if "error" in answer:
                raise CommandFailed(f"QEMU refuses {command}: {_described(answer['error'])}")
            if "return" in answer:
                return answer["return"]

    def _send(self, line: bytes, descriptors: Sequence[int]) -> None:
        if descriptors:  # short enough to go in one piece
            socket.send_fds(self._socket, [line], descriptors)
        else:
            self._socket.sendall(line)

    def uuid(self) -> UUID:
        """The machine's identity."""
        return UUID(self.execute("query-uuid")["UUID"])

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if isinstance(error, _NO_ANSWER):
            raise CommandFailed("QEMU's monitor says what is no answer") from error

    def _deadline(self) -> float:
        return time.monotonic() + self._timeout

    def _line(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            self._buffer += self._received(deadline)
            if len(self._buffer) > _LONGEST:
                raise CommandFailed("QEMU's monitor says too much")
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CommandFailed("QEMU's monitor says what is no JSON") from error
        if not isinstance(values, dict):
            raise CommandFailed("QEMU's monitor says what is no answer")
        return values

    def _received(self, deadline: float) -> bytes:
        self._socket.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            data = self._socket.recv(65536)
        except TimeoutError as error:
            raise TimedOut(f"QEMU's monitor did not answer within {self._timeout:g} s") from error
        except OSError as error:
            raise Conflict(f"the machine has ended: {error}") from error
        if not data:
            raise Conflict("the machine has ended")
        return data


def _described(error: object) -> str:
    """A guest may have taken that QEMU over."""
    return printable(str(error.get("desc") if isinstance(error, dict) else error)[:_LONGEST_REASON])
