"""An overlay that becomes a snapshot, and a snapshot that becomes the overlay, without a byte being copied.

Of what is kept in this way one thing tells what was done and what was not, whoever was killed: a snapshot
that still is the overlay itself is none. It is not listed, and goes when the machine is next changed or
started.
"""

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from skinnybox.model import Instance
from skinnybox.operation import Operation


class Keeping(Protocol):
    @abstractmethod
    def swap_overlay(
        self,
        instance: Instance,
        label: str,
        aside: str,
        operation: Operation,
        look: Callable[[Path, Path], None],
    ) -> None:
        """The snapshot `label` becomes the overlay, and the overlay the snapshot `aside` with the record as
        given: both at one moment. `look` may look at the two before, and is called only where they are files
        here. NotFound without that snapshot, Conflict where `aside` is taken, and as replace_overlay is."""
