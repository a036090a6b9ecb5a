"""What `doctor` and `repair` have to say."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of `doctor`. `status` is ok, note, warn or fail."""

    name: str
    status: str
    detail: str
    hint: str | None = None


class Deed(StrEnum):
    """What `repair` does about what it finds."""

    KEEP = "keep"
    REMOVE = "remove"
    CLOSE = "close"
    ASIDE = "move aside"
    ADOPT = "adopt"
    REWRITE = "rewrite"
    FORGET = "forget"
    FINISH = "finish"
    ATTACH = "attach"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something in a state folder that is no whole machine or master: what it is, in words, and what is to be
    done about it. REMOVE and ASIDE mean the path; the other deeds mean the machine that lies there. With
    `act` the path is only a name, and that does the deed."""

    path: Path
    what: str
    deed: Deed
    act: Callable[[], None] | None = field(default=None, compare=False)
