"""A batch, from XenCenter's arguments to machines in the pool."""

import pytest

from tests.xencenter.conftest import THIN, Desk


def lines(text: bytes) -> list[str]:
    return text.decode().splitlines()


def test_a_batch_makes_machines_in_xencenters_session(desk: Desk) -> None:
    ended = desk.run("batch", "--text", *THIN, "last=3", "start=true")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert lines(ended.stdout)[-3:] == [f"web-0{n}: made, started" for n in (1, 2, 3)]
    assert desk.dom0.names() == ["web-01", "web-02", "web-03"]
    assert desk.dom0.vm("web-01")["power_state"] == "Running"
    assert desk.is_in_session()
