"""How much of a copy is done, how much it may become, and what was left out."""

import os

from skinnybox.errors import GuestFailed
from skinnybox.operation import Operation
from skinnybox.printable import printable

DEEPEST = 64
MOST_ENTRIES = 1_000_000
"""Of one copy: a guest can make up as many names as it likes."""
_TOLD = 20


class Tally:
    """Of one command; said as it goes on."""

    def __init__(self, name: str, operation: Operation, total: int | None = None) -> None:
        """`name` is the machine's; `total` bytes, when that is known."""
        self._name, self._operation, self._total = name, operation, total
        self._bytes = self._entries = self._left_out = 0

    def there(self, path: bytes) -> str:
        """A path in the machine, for people."""
        return f"{self._name}:{printable(os.fsdecode(path))}"

    def add(self, size: int, path: bytes) -> None:
        """Cancelled when it is."""
        self._bytes += size
        where = printable(os.fsdecode(path))
        self._operation.step("copying", done=self._bytes, total=self._total, unit="bytes", detail=where)

    def enter(self, path: bytes) -> None:
        self._entries += 1
        self._operation.check()
        if self._entries > MOST_ENTRIES:
            raise GuestFailed(f"{self.there(path)}: more than {MOST_ENTRIES} files", hint="copy parts of it")

    def leave_out(self, path: bytes, why: str) -> None:
        self._left_out += 1
        if self._left_out <= _TOLD:
            self._operation.note(f"left out: {self.there(path)} ({why})")

    def end(self) -> None:
        """Say what nobody was told."""
        if self._left_out > _TOLD:
            self._operation.note(f"left out: {self._left_out - _TOLD} more")
