"""One piece of work: heard, cancelled alone, slept in."""

import threading
import time

import pytest

from skinnybox.errors import Cancelled
from skinnybox.operation import UNATTENDED, Operation, Step


def test_steps_are_heard_until_it_is_cancelled() -> None:
    heard: list[Step] = []
    operation = Operation(heard.append)
    operation.step("copy", done=1, total=2, unit="bytes", detail="a file")
    operation.cancel()
    with pytest.raises(Cancelled):
        operation.step("copy", done=2, total=2)
    operation.report(Step(task="undo"))  # what must come to its end says so all the same
    assert heard == [Step(task="copy", done=1, total=2, unit="bytes", detail="a file"), Step(task="undo")]


def test_a_child_is_cancelled_alone_and_with_its_parent() -> None:
    parent = Operation()
    one, other = parent.child(), parent.child()
    grandchild = one.child()
    one.cancel()
    assert (one.cancelled, grandchild.cancelled) == (True, True)
    assert (parent.cancelled, other.cancelled) == (False, False)
    parent.cancel()
    assert other.cancelled


def test_one_that_nobody_cancelled_is_interrupted() -> None:
    parent = Operation()
    child = parent.child()
    assert not child.interrupted
    parent.interrupt()
    assert child.cancelled and child.interrupted
    with pytest.raises(Cancelled, match="copy: interrupted"):
        child.step("copy")
    child.cancel()  # now somebody asked for it
    assert child.cancelled and not child.interrupted and parent.interrupted
    with pytest.raises(Cancelled, match="copy: cancelled"):
        child.step("copy")


def test_a_child_is_heard_by_its_parents_listener_or_its_own() -> None:
    heard: list[Step] = []
    own: list[Step] = []
    notes: list[str] = []
    parent = Operation(heard.append, notes.append)
    parent.child().step("a")
    child = parent.child(own.append)
    child.step("b")
    child.note("read this")
    assert ([s.task for s in heard], [s.task for s in own], notes) == (["a"], ["b"], ["read this"])


def test_a_sleeper_is_woken() -> None:
    operation = Operation()
    child = operation.child()
    threading.Timer(0.05, operation.cancel).start()
    before = time.monotonic()
    with pytest.raises(Cancelled):
        child.sleep(60)
    assert time.monotonic() - before < 30
    before = time.monotonic()
    Operation().sleep(0.2)
    assert time.monotonic() - before >= 0.2


def test_nobody_cancels_what_everybody_shares() -> None:
    with pytest.raises(TypeError):
        UNATTENDED.cancel()
    with pytest.raises(TypeError):
        UNATTENDED.interrupt()
    child = UNATTENDED.child()
    child.cancel()
    assert child.cancelled and not UNATTENDED.cancelled
