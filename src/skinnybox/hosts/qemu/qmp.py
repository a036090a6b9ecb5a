"""QEMU's machine protocol: a greeting, then JSON objects, one a line. Blocking, one client at a time."""

import json
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from skinnybox.errors import CommandFailed, Conflict, TimedOut
from skinnybox.hosts.qemu.folder import connect

_LONGEST = 1 << 20
_TIMEOUT = 10.0


class Monitor:
    """A conversation with one QEMU; `timeout` is seconds for each answer. Not for several threads.

    Raises Conflict when no QEMU listens, TimedOut when it does not answer, CommandFailed for what it refuses.
    """

    def __init__(self, folder: Path, name: str = "qmp", timeout: float = _TIMEOUT) -> None:
        self._timeout = timeout
        self._buffer = b""
        try:
            self._socket = connect(folder, name, timeout)
        except OSError as error:
            raise Conflict(f"no machine answers in {folder}: {error}") from error
        try:
            self._line()
            self.execute("qmp_capabilities")
        except BaseException:
            self.close()
            raise

    def execute(self, command: str, **arguments: object) -> Any:
        """What QEMU returns. Events in between are skipped."""
        request = {"execute": command, "arguments": arguments}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise Conflict(f"the machine has ended before {command}") from error
        while True:
            answer = self._line()
            if "error" in answer:
                raise CommandFailed(f"QEMU refuses {command}: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]

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

    def _line(self) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeout
        while b"\n" not in self._buffer:
            self._buffer += self._received(deadline)
            if len(self._buffer) > _LONGEST:
                raise CommandFailed("QEMU's monitor says too much")
        line, _, self._buffer = self._buffer.partition(b"\n")
        values: dict[str, Any] = json.loads(line)
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
