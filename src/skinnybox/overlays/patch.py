"""Rewriting one of the messages on a private copy of an overlay: in place, at blocks it has already."""

from pathlib import Path

from skinnybox.errors import Corrupt, Unsupported
from skinnybox.overlays import inspect
from skinnybox.wire import padded


def check_fits(disk: Path, name: str, message: bytes) -> None:
    """Unsupported when it is longer than what is kept for it: for who asks before anything is begun. Of a
    disk that is not clean nobody can say, and nothing is said."""
    if inspect.is_clean(disk):
        _padded(inspect.read_place(disk, name), name, message)


def _padded(place: list[tuple[int, int]], name: str, message: bytes) -> bytes:
    try:
        return padded(message, sum(length for _, length in place))
    except ValueError as error:
        raise Unsupported(f"the overlay has no room for such a {name}: {error}") from error


def put_message(disk: Path, name: str, message: bytes) -> None:
    """`disk` is clean, and nobody else's. Where the file lies is the guest's word, so at worst its own
    filesystem is hurt. Raises Unsupported when the message is longer than what is kept for it."""
    place = inspect.read_place(disk, name)
    data = _padded(place, name, message)
    with disk.open("r+b", buffering=0) as file:
        for offset, length in place:
            if offset + length > disk.stat().st_size:
                raise Corrupt(f"the overlay keeps its {name} outside of itself")
            file.seek(offset)
            file.write(data[:length])
            data = data[length:]
