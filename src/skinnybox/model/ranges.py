"""What the numbers of a machine may be. Every way in asks here: command line, fleet file, service."""

from dataclasses import dataclass

from skinnybox.errors import UsageError
from skinnybox.sizes import MIB, format_size


@dataclass(frozen=True, slots=True)
class Range:
    """From `least` to `most`, both allowed; `what` it is, in words. Bytes where `is_size`."""

    what: str
    least: int
    most: int
    is_size: bool = True

    def check(self, value: int) -> int:
        """The value itself. Raises UsageError."""
        if not self.least <= value <= self.most:
            shown = format_size if self.is_size else str
            least, most = shown(self.least), shown(self.most)
            raise UsageError(f"{self.what} is from {least} to {most}, not {_short(shown(value))}")
        return value


def _short(text: str) -> str:
    return text if len(text) <= 20 else f"{text[:20]}..."


OVERLAY = Range("an overlay's size", 32 * MIB, 1 << 50)
"""The least is what its filesystem with a journal takes."""
MEMORY = Range("a machine's memory", 128 * MIB, 1 << 50)
CPUS = Range("a machine's number of processors", 1, 255, is_size=False)
"""The most that the board machines get can number."""
