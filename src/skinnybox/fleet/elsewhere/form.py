"""What two Skinnyboxes say to each other over the standard streams of one command by ssh.

A request: the length of a JSON object in decimal, a line's end, the object, and after it what it says that
comes, files or an archive. An answer: one line of JSON, the last that is printed.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

from skinnybox import errors
from skinnybox.errors import SkinnyboxError, UsageError
from skinnybox.printable import printable

PROTOCOL = 1
"""Who speaks another says which, and nothing is done."""
MOST_REQUEST, MOST_ANSWER = 8 << 20, 1 << 20
PIECE = 1 << 20
_DIGITS, _LONGEST = 7, 4000
_MARK = "skinnybox"
_NONE = "that is no request of `skinnybox move`"


def request_bytes(request: dict[str, Any]) -> bytes:
    text = json.dumps({_MARK: PROTOCOL, **request}).encode()
    return b"%d\n%s" % (len(text), text)


def read_request(source: int) -> dict[str, Any]:
    """Not a byte of what comes after it is taken. UsageError for what is none."""
    length = b""
    while len(length) <= _DIGITS and (digit := os.read(source, 1)).isdigit():
        length += digit
    if digit != b"\n" or not 0 < int(length or b"0") <= MOST_REQUEST:
        raise UsageError(_NONE)
    try:
        found = json.loads(b"".join(pieces(source, int(length))))
    except (ValueError, RecursionError) as error:
        raise UsageError(_NONE) from error
    if not isinstance(found, dict) or type(found.get(_MARK)) is not int:
        raise UsageError(_NONE)
    return found


def pieces(source: int, size: int) -> Iterator[bytes]:
    """Exactly so many bytes. UsageError where there are less."""
    while size:
        piece = os.read(source, min(size, PIECE))
        if not piece:
            raise UsageError("the connection ended before all was sent")
        size -= len(piece)
        yield piece


def value(request: dict[str, Any], name: str, kind: type) -> Any:
    """UsageError where it is not of that kind."""
    found = request.get(name)
    if type(found) is not kind:
        raise UsageError(f"{_NONE}: {name}")
    return found


def texts(request: dict[str, Any], name: str) -> tuple[str, ...]:
    found = value(request, name, list)
    if not all(type(each) is str for each in found):
        raise UsageError(f"{_NONE}: {name}")
    return tuple(found)


def answer_line(answer: dict[str, Any]) -> str:
    return json.dumps({_MARK: PROTOCOL, "answer": answer})


def error_line(error: SkinnyboxError) -> str:
    return json.dumps({_MARK: PROTOCOL, "error": [type(error).__name__, error.message, error.hint]})


def answer_of(said: bytes) -> dict[str, Any] | None:
    """Raises the error that it tells; None for what is no answer. What a login prints before it is passed
    over."""
    try:
        found = json.loads(said.strip().rpartition(b"\n")[2])
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or _MARK not in found:
        return None
    if isinstance(found.get("error"), list):
        raise _error(*map(str, found["error"][:3]))
    answer = found.get("answer")
    return answer if isinstance(answer, dict) else None


def _error(kind: str = "", message: str = "", hint: str = "None") -> SkinnyboxError:
    """Of the tree, whatever a later version calls it."""
    found = getattr(errors, kind, None)
    made = found if isinstance(found, type) and issubclass(found, SkinnyboxError) else SkinnyboxError
    return made(printable(message)[:_LONGEST], hint=None if hint == "None" else printable(hint)[:_LONGEST])
