"""What one machine does to the supervisor is not what the others get."""

import os
import select
from pathlib import Path
from uuid import UUID

import pytest

from skinnybox.hosts.guest_io.supervisor import Supervisor


class Watched:
    """Stands for a machine; `tick` fails when told to."""

    def __init__(self, fails: bool) -> None:
        self.over, self.ticks, self._fails = False, 0, fails

    def tick(self) -> None:
        self.ticks += 1
        if self._fails:
            raise RuntimeError("a mistake of ours")


def test_a_mistake_costs_the_descriptor_it_happened_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor = Supervisor(tmp_path)
    read, write = os.pipe()
    heard: list[int] = []

    def fail(events: int) -> None:
        raise RuntimeError("a mistake of ours")

    try:
        supervisor._add(read, select.EPOLLIN, fail)
        supervisor._add(write, select.EPOLLOUT, heard.append)
        for _ in range(2):
            for descriptor in (read, write):
                supervisor._handle(descriptor, 4)
        assert heard == [4, 4]
        assert capsys.readouterr().err.count("RuntimeError: a mistake") == 1
    finally:
        os.close(read)
        os.close(write)


def test_a_mistake_costs_the_machine_it_happened_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:

    supervisor = Supervisor(tmp_path)
    bad, good = Watched(True), Watched(False)
    supervisor._watched = {UUID(int=1): bad, UUID(int=2): good}  # type: ignore[dict-item]
    for _ in range(3):
        supervisor._tick()
    assert list(supervisor._watched) == [UUID(int=2)] and good.ticks == 3
    assert capsys.readouterr().err.count("RuntimeError: a mistake") == 1
