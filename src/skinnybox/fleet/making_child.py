"""The process that makes a master as root of a user namespace, for who is not root (making_apart.py)."""

import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from skinnybox import errors
from skinnybox.errors import SkinnyboxError, from_system
from skinnybox.fleet.making import BuildLayer, is_look, made, read
from skinnybox.fleet.making_layers import rows_of, would_build
from skinnybox.operation import Operation

Tell = Callable[[dict[str, Any]], None]


def main() -> None:
    """Reads an order and answers, a line each. Its parent alone decides when it ends: Ctrl-C reaches that."""
    os.setsid()
    tell = _teller(os.dup(1))
    os.dup2(2, 1)  # whatever else prints is no answer
    line = sys.stdin.readline()
    store, order = read(line)
    operation = Operation(lambda step: tell({"step": asdict(step)}), lambda line: tell({"note": line}))
    threading.Thread(target=_until_unwanted, args=(operation,), daemon=True).start()
    try:
        if is_look(line) and isinstance(order, BuildLayer):
            for row in rows_of(would_build(store, order, operation)):
                tell({"row": row})
            tell({"made": ""})
        else:
            tell({"made": made(store, order, operation).id})
    except (SkinnyboxError, OSError) as error:
        known = from_system(error) if isinstance(error, OSError) else error
        if known is None:
            raise
        tell({"failed": _kind(known), "message": known.message, "hint": known.hint})


def _teller(descriptor: int) -> Tell:
    """From several threads: a line is one write. Who hears nothing any more wants nothing either."""
    lock = threading.Lock()

    def tell(what: dict[str, Any]) -> None:
        left = memoryview(json.dumps(what).encode() + b"\n")
        with lock:
            try:
                while left:
                    left = left[os.write(descriptor, left) :]
            except BrokenPipeError:
                return

    return tell


def _until_unwanted(operation: Operation) -> None:
    while os.read(0, 1):  # not by sys.stdin: a thread that waits in its lock cannot be left at the end
        pass
    operation.cancel()


def _kind(error: SkinnyboxError) -> str:
    """The nearest one that every process of ours knows."""
    return next(each.__name__ for each in type(error).__mro__ if each.__module__ == errors.__name__)
