"""What is said to be an archive, before anything of it is read."""

from dataclasses import dataclass
from pathlib import Path

from skinnybox.errors import NotFound, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """`file` has the bytes; `called` is what is named when something is wrong with them."""

    file: Path
    called: Path


def check(source: Source, hint: str) -> None:
    """NotFound where there is nothing; UsageError, with the `hint`, for what is no file and ends never."""
    if not source.file.exists():
        raise NotFound(f"{source.called}: no such file")
    if not source.file.is_file():
        raise UsageError(f"{source.called} is no file", hint=hint)
