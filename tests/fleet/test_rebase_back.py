"""Onto another master and back on the first, by whole rebases: what was the machine's own still is."""

from pathlib import Path

from skinnybox.fleet.rebase_run import Stage
from skinnybox.fleet.service import Fleet
from skinnybox.model import Instance
from tests.fleet.rebasing import has, rebase
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import CONF, put
from tests.fleet.test_rebase_do import fleet, two_masters, web

__all__ = ["fleet", "two_masters", "web"]

FIXED = CONF.replace("Debug no", "Debug yes")
"""What web:2 has as well."""


def onto(fleet: Fleet, master: str) -> None:
    [outcome] = rebase(fleet, "web", onto=master)
    assert outcome.error is None and outcome.value.stage is Stage.PASSED
    assert fleet.rebases.commit(["web"])[0].error is None


def test_what_the_next_master_had_too_is_there_again(fleet: Fleet, state: Path, web: Instance) -> None:
    put(image(state, web), "etc/web.conf", FIXED)
    onto(fleet, "web:2")
    assert has(state, web, "etc/web.conf") is None
    assert "etc/web.conf" in (has(state, web, "var/lib/skinnybox/converged") or "")
    onto(fleet, "web:1")
    assert has(state, web, "etc/web.conf") == FIXED and has(state, web, "own") == "mine"
    assert has(state, web, "var/lib/skinnybox/converged") is None
