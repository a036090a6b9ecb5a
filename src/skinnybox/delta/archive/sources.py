"""What is said to be an archive, before anything of it is read."""

from pathlib import Path

from skinnybox.errors import NotFound, UsageError


def check(source: Path, hint: str) -> None:
    """NotFound where there is nothing; UsageError, with the `hint`, for what is no file and ends never."""
    if not source.exists():
        raise NotFound(f"{source}: no such file")
    if not source.is_file():
        raise UsageError(f"{source} is no file", hint=hint)
