"""What the numbers of a machine may be. Every way in asks here: command line, fleet file, service."""

from skinnybox.errors import UsageError
from skinnybox.sizes import MIB, format_size
from skinnybox.values import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """From `least` to `most`, both allowed; `what` it is, in words. Bytes where `is_size`."""

    what: str
    least: int
    most: int
    is_size: bool = True

    def has(self, value: int) -> bool:
        return self.least <= value <= self.most

    def check(self, value: int) -> int:
        """The value itself. Raises UsageError."""
        if not self.has(value):
            shown = format_size if self.is_size else str
            least, most = shown(self.least), shown(self.most)
            raise UsageError(f"{self.what} is from {least} to {most}, not {_short(shown(value))}")
        return value


def _short(text: str) -> str:
    return text if len(text) <= 20 else f"{text[:20]}..."


OVERLAY = Range("an overlay's size", 32 * MIB, 1 << 50)
"""The least is what its filesystem with a journal takes."""
SWAP = Range("a machine's swap", MIB, 1 << 50)
DATA = Range("a data disk's size", 32 * MIB, 1 << 50)
THROWN = Range("the memory for what a machine writes", 16 * MIB, 1 << 50)
MEMORY = Range("a machine's memory", 128 * MIB, 1 << 50)
HOST_PORT = Range("a port of this host that leads to a machine", 1024, 65_535, is_size=False)
"""Those that no right is needed for: what listens there has a user of its own."""
GUEST_PORT = Range("a machine's port", 1, 65_535, is_size=False)
SSH_PORTS = Range("a port that leads to a machine's ssh", 20_000, 31_999, is_size=False)
"""Those that are given out by themselves."""
CPUS = Range("a machine's number of processors", 1, 255, is_size=False)
"""The most that the board machines get can number."""
