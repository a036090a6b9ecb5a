"""One request to the Skinnybox of another computer, by ssh, and what it answers."""

import os
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any

from skinnybox import run
from skinnybox.errors import CannotWrite, NotReached, SkinnyboxError, Unsupported
from skinnybox.fleet.conversation import Beginning, Streams, converse
from skinnybox.fleet.elsewhere import form
from skinnybox.fleet.elsewhere.place import Place
from skinnybox.operation import Operation
from skinnybox.printable import printable

Feed = Callable[[int], None]
"""Writes to a descriptor what comes after the request."""
_MOST_SAID = 64 << 10
_MOST_LINE = 500
_WATCH = 0.1
_MISSING, _USAGE = (126, 127), 2
_HINTS = (
    ("Host key verification failed", "who it is has to be known first: ssh {} true"),
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "look why, before anything is sent there: ssh {} true"),
    ("Permission denied", "nobody is asked for a password: give it a key that opens without (ssh-agent)"),
)


def ask(
    place: Place, request: dict[str, Any], operation: Operation, feed: Feed | None = None
) -> dict[str, Any]:
    """Blocks. What goes wrong there is raised as it would be here, and says that it is there; NotReached
    where ssh does not come through; Unsupported where there is no Skinnybox that can do it."""
    answer, said = Beginning(form.MOST_ANSWER), Beginning(_MOST_SAID)
    way, ended = Operation(), list[int | BaseException]()
    reading, writing = os.pipe2(os.O_CLOEXEC)
    streams = Streams(stdin=reading, stdout=answer, stderr=said)

    def hold() -> None:
        try:
            ended.append(
                converse(
                    place.computer, place.argv, place.command, streams,
                    keep=run.WITH_AGENT, timeout=None, operation=way,
                )
            )  # fmt: skip
        except BaseException as error:
            ended.append(error)
        finally:
            os.close(reading)  # it was ours as well: without it nobody who writes would see the end

    holding = Thread(target=hold)
    holding.start()
    try:
        try:
            _feed(writing, request, feed)
        finally:
            os.close(writing)
        while holding.is_alive():
            operation.check()
            holding.join(_WATCH)
    finally:
        way.cancel()
        holding.join()
    return _answered(place, ended[0], answer.content, said.content)


def _feed(target: int, request: dict[str, Any], feed: Feed | None) -> None:
    """Who does not read it to its end says why."""
    with suppress(BrokenPipeError, CannotWrite):
        write(target, form.request_bytes(request))
        if feed is not None:
            feed(target)


def write(target: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(target, left) :]


def _answered(place: Place, ended: int | BaseException, answer: bytes, said: bytes) -> dict[str, Any]:
    if isinstance(ended, NotReached):
        raise _not_reached(place, ended) from ended
    if isinstance(ended, BaseException):
        raise ended
    try:
        found = form.answer_of(answer)
    except SkinnyboxError as error:
        if place.where not in error.message:
            error.message = f"{place.where}: {error.message}"
        raise
    if found is None:
        raise _none(place, ended, said)
    return found


def _not_reached(place: Place, error: NotReached) -> NotReached:
    target = place.computer if place.port is None else f"-p {place.port} {place.computer}"
    for word, hint in _HINTS:
        if word in error.message:
            return NotReached(error.message, hint=hint.format(target))
    return NotReached(error.message, hint=f"try it by hand: ssh {target} true")


def _none(place: Place, code: int, said: bytes) -> SkinnyboxError:
    """What somebody else answers who is called so, or nobody."""
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    if code in _MISSING:
        return Unsupported(
            f"{place.computer} has no skinnybox that ssh finds",
            hint=f"install it there, in a folder of its PATH: ssh {place.computer} skinnybox --version",
        )
    if code == _USAGE and any("receive" in line for line in lines):
        return Unsupported(
            f"the skinnybox of {place.computer} is older than this, and receives no machines",
            hint="upgrade it there; or by hand: `skinnybox export` here, and `create --from` there",
        )
    last = printable(lines[-1].strip())[:_MOST_LINE] if lines else "it said nothing"
    return SkinnyboxError(f"skinnybox on {place.computer} ended with {code}: {last}")
