"""Sessions that end, masters that change, connections that are cut: said so, and nothing done twice."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.emulators.xapi import EmulatedPool
from tests.emulators.xapi.context import Call
from tests.xencenter.conftest import THIN, Desk, told

BATCH = ("batch", "--text", *THIN, "last=3")
GOES_ON = "What was begun may go on in the pool."


def test_a_session_that_is_none(desk: Desk) -> None:
    ended = desk.with_session("OpaqueRef:00000000-0000-0000-0000-000000000000").run(*BATCH)
    assert ended.returncode == 1 and "XenCenter's session has ended." in told(ended)
    assert desk.dom0.names() == []


def test_a_host_that_is_not_the_master(desk: Desk) -> None:
    target = [f"{desk.dom0.pool.url_of(1, tls=True)}/", *desk.target()[1:]]
    known = f"{target[0][8:-1]} {desk.dom0.pool.fingerprint.upper()}\n"
    desk.known.write_text(known)
    ended = desk.run(*BATCH, target=target)
    assert ended.returncode == 1 and "The pool has another master now: 127.0.0.1." in told(ended)


@contextmanager
def meanwhile(pool: EmulatedPool, at: str, number: int, act: Callable[[], None]) -> Iterator[None]:
    """Done by another thread as soon as the n-th call of that name lets go of the pool's lock."""
    thread = threading.Thread(target=act)
    left = [number]

    def others(call: Call) -> None:
        left[0] -= call.name == at
        if call.name == at and left[0] == 0:
            thread.start()

    pool.xapi.others = others
    yield
    thread.join()


def test_a_session_that_ends_in_the_middle(desk: Desk) -> None:
    """The plugin works in it too, and the next call repairs what it could not take back."""
    pool = desk.dom0.pool
    with meanwhile(pool, "VM.provision", 2, pool.expire_sessions):
        ended = desk.run(*BATCH)
    assert ended.returncode == 1 and "XenCenter's session has ended." in told(ended)
    assert GOES_ON in told(ended)


def test_a_master_that_changes_in_the_middle(desk: Desk) -> None:
    """Sessions end with it, and then nobody answers: which of them comes first, a moment decides."""
    pool = desk.dom0.pool
    pool.faults.slow("VM.provision", 0.5)
    with meanwhile(pool, "VM.provision", 2, lambda: pool.fail_over(1)):
        ended = desk.run(*BATCH)
    assert ended.returncode == 1
    assert "does not answer any more" in told(ended) or "session has ended" in told(ended)
    assert GOES_ON in told(ended)


def test_a_cut_connection_begins_nothing_twice(desk: Desk) -> None:
    desk.dom0.pool.faults.drop_after("host.call_plugin", at=2, times=5)
    ended = desk.run(*BATCH)
    assert [each for each in desk.dom0.pool.log.methods() if each == "Async.host.call_plugin"] == [
        "Async.host.call_plugin"
    ]
    assert ended.returncode == 1 and "It may have begun all the same" in told(ended)


def test_a_connection_that_is_cut_while_it_waits(desk: Desk) -> None:
    desk.dom0.pool.faults.drop_before("task.get_record", times=2)
    desk.dom0.pool.faults.drop_after("event.from", times=2)
    ended = desk.run(*BATCH)
    assert (ended.returncode, desk.dom0.names()) == (0, ["web-01", "web-02", "web-03"])
