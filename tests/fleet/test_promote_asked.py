"""`promote` and what its user asks of it beside: paths, and to let it be."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from skinnybox.cli.interrupt import INTERRUPTED
from skinnybox.fleet.deltas import Deltas
from skinnybox.fleet.service import Fleet
from tests.fleet import test_promote
from tests.fleet.conftest import said
from tests.fleet.test_promote import SECRET, a_machine, listed
from tests.unit.rebased import f, l

fleet, sealed = test_promote.fleet, test_promote.sealed
Said = pytest.CaptureFixture[str]


def test_paths_lead_where_the_machines_links_do_and_none_is_passed_over(
    fleet: Fleet, state: Path, capsys: Said
) -> None:
    """A secret that somebody named by another way, or not quite, would be in every machine of the master."""
    a_machine(fleet, state, {"usr/lib/key": f(SECRET), "short": l("/usr"), "srv/site": f("x")})
    assert listed(capsys, "--leave-out", "/lib/key") == {"/usr/lib/key": ("asked", "left out", 1)}
    words = ("--as-layer", "--path", "/short/lib/key")
    assert said(capsys, "promote", "web", "key:1", *words, "--dry-run").code == 0
    ended = said(capsys, "promote", "web", "lamp:2", "-y", "--leave-out", "/lib/kex")
    assert ended.code == 3 and "it has nothing of its own at /usr/lib/kex" in ended.err, ended


def test_ctrl_c_while_it_looks_is_no_yes(
    fleet: Fleet, state: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_machine(fleet, state, {"srv/site": f("x")})
    look = Deltas.would_promote

    def interrupted(*what: Any, **more: Any) -> Any:
        found = look(*what, **more)
        os.kill(os.getpid(), signal.SIGINT)
        return found

    monkeypatch.setattr(Deltas, "would_promote", interrupted)
    ended = said(capsys, "promote", "web", "lamp:2", "-y")
    assert ended.code == INTERRUPTED and "cancelled" in ended.err, ended
    assert [master.reference for master in fleet.masters.all()] == ["lamp:1"]
