"""What is common to all who ask a confined process about a machine's disk: whether that may be believed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skinnybox.errors import Corrupt

NO_ANSWER = "the reader of the disk gave no proper answer"


class Unsettled(Corrupt):
    """It may be read as the truth once its journal is replayed (overlays/journal.py)."""

    def __init__(self, disk: Path) -> None:
        super().__init__(f"{disk} was not shut down cleanly: its journal is to be replayed first")


def refuse_unsettled(answers: Iterator[Any], disk: Path) -> None:
    """Of the first answer, which is whether it is settled. Unsettled; Corrupt when it is none."""
    settled = next(answers, None)
    if type(settled) is not bool:
        raise Corrupt(NO_ANSWER)
    if not settled:
        raise Unsettled(disk)
