"""Files between here and a running machine, through one connection of ssh."""

import contextlib
import os
import socket
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Thread

from skinnybox import run
from skinnybox.errors import NotReached, SkinnyboxError, UsageError
from skinnybox.fleet.conversation import Beginning, Streams, converse
from skinnybox.fleet.sftp.fetch import Source, fetch
from skinnybox.fleet.sftp.packets import Connection
from skinnybox.fleet.sftp.send import send
from skinnybox.fleet.sftp.session import Session
from skinnybox.fleet.sftp.tally import Tally
from skinnybox.operation import Operation

_MOST_SAID = 4096


def fetch_all(
    name: str,
    session: Source,
    sources: Sequence[str],
    target: Path,
    recursive: bool,
    operation: Operation,
) -> None:
    """Each as `fetch` does, in this order; what came before one that fails stays. `name` is the machine's."""
    if len(sources) > 1 and not os.path.isdir(target):  # noqa: PTH112 (is_dir() raises of no path)
        raise UsageError(f"{target} is no folder, and several files go there")
    tally = Tally(name, operation)
    for source in sources:
        fetch(session, source, target, tally, recursive=recursive)
    tally.end()


def send_all(
    session: Session, sources: Sequence[Path], target: str, recursive: bool, operation: Operation
) -> None:
    """Each as `send` does, in this order, and what came before one that fails stays."""
    if len(sources) > 1 and not ((there := session.look(os.fsencode(target) or b".")) and there.is_folder):
        raise UsageError(f"{session.name}:{target} is no folder, and several files go there")
    tally = Tally(session.name, operation, _together(sources))
    for source in sources:
        send(session, source, target, tally, operation, recursive=recursive)
    tally.end()


def _together(sources: Sequence[Path]) -> int | None:
    """Bytes, when all are files; what is wrong with one that is not is told when it is its turn."""
    total = 0
    for source in sources:
        try:
            found = source.stat()
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        total += found.st_size
    return total


@contextlib.contextmanager
def session(name: str, argv: Sequence[str], keep: run.Names, operation: Operation) -> Iterator[Session]:
    """Behind these words of ssh's, which has ended after the block. NotReached with ssh's own reason."""
    ours, theirs = socket.socketpair()
    # Of its own: what was copied in vain is cleared away over the same connection after a Ctrl-C.
    way, failed = Operation(), list[BaseException]()
    words = [argv[0], "-s", *argv[1:]]

    def hold() -> None:
        streams = Streams(stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=Beginning(_MOST_SAID))
        try:
            converse(name, words, "sftp", streams, keep=keep, timeout=None, operation=way)
        except BaseException as error:
            failed.append(error)
        finally:
            theirs.close()  # it was ours as well: without it nobody would see the end

    holding = Thread(target=hold)
    holding.start()
    try:
        with ours:
            yield Session(name, Connection(name, ours, operation))
    except NotReached as error:
        holding.join()
        raise _why(failed, error) from error
    finally:
        way.cancel()
        holding.join()


def _why(failed: Sequence[BaseException], error: NotReached) -> BaseException:
    """What ssh said of an end that we only saw."""
    if failed and "subsystem request failed" in str(failed[0]):
        hint = "it needs a line `Subsystem sftp internal-sftp` in its sshd_config"
        return NotReached("the machine's ssh server serves no files (sftp)", hint=hint)
    if failed and not isinstance(failed[0], SkinnyboxError):
        return failed[0]
    return failed[0] if failed else error
