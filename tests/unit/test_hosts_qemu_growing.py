"""The limit of what a QEMU may write: raised from outside, as far as was meant at its start."""

import subprocess
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from skinnybox.errors import Conflict, Unsupported
from skinnybox.hosts.guest_io.qmp import Monitor
from skinnybox.hosts.qemu import growing
from skinnybox.model import DiskKind
from skinnybox.sizes import MIB
from tests.samples import an_instance

Begun = Callable[[str], int]


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Iterator[Begun]:
    """Somebody who is who we are, as an ordinary user's QEMU is, with this limit."""
    monkeypatch.setattr(growing, "user_of", lambda instance: None)
    children: list[subprocess.Popen[bytes]] = []

    def begin(limit: str) -> int:
        children.append(subprocess.Popen(["prlimit", f"--fsize={limit}", "sleep", "60"]))
        return children[-1].pid

    yield begin
    for child in children:
        child.kill()
        child.wait()


def test_it_is_raised_to_what_the_disk_has(begun: Begun) -> None:
    pid = begun(f"{64 * MIB}:{512 * MIB}")
    while growing._limits(pid)[1] != 512 * MIB:  # not begun yet
        pass
    growing._allow(pid, an_instance(), 96 * MIB)
    assert growing._limits(pid) == (96 * MIB, 512 * MIB)
    growing._allow(pid, an_instance(), 80 * MIB)
    assert growing._limits(pid) == (96 * MIB, 512 * MIB)
    with pytest.raises(Unsupported, match="only while they are off"):
        growing._allow(pid, an_instance(), 513 * MIB)
    assert growing._limits(pid) == (96 * MIB, 512 * MIB)


def test_who_has_no_limit_needs_none(begun: Begun) -> None:
    growing._allow(begun("unlimited"), an_instance(), 1 << 50)


def test_who_has_ended_is_told(begun: Begun) -> None:
    with pytest.raises(Conflict, match="ended"):
        growing._allow(1 << 22, an_instance(), MIB)


class Told:
    """A monitor that says this, whatever it is asked."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    def execute(self, command: str, **arguments: object) -> object:
        return self._answer


@pytest.mark.parametrize(
    "answer",
    [
        None, 7, "x", [7], [{}], [{"node-name": "overlay"}], [{"node-name": "overlay", "image": 7}],
        [{"node-name": "overlay", "image": {"virtual-size": "x"}}],
        [{"node-name": "overlay", "image": {"virtual-size": float("inf")}}], [], [{"node-name": "data"}],
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused_by_name(answer: object) -> None:
    with pytest.raises(Unsupported) as caught:
        growing._size_of(cast(Monitor, Told(answer)), DiskKind.OVERLAY)
    assert caught.value.hint
