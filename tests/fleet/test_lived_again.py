"""What tests/boot/lived.py keeps for tests that take an hour, where a machine costs nothing."""

from pathlib import Path

import pytest

from skinnybox.fleet.service import Fleet
from tests.boot import lived
from tests.fleet import rebasing
from tests.fleet.conftest import SPARSE, said
from tests.fleet.rebasing import has
from tests.fleet.test_disks import image
from tests.fleet.test_rebase import put, two_masters

__all__ = ["two_masters"]
fleet = rebasing.fleet_of_two
Said = pytest.CaptureFixture[str]


def test_one_that_had_lived_is_put_back_whatever_a_test_left_of_it(
    fleet: Fleet, state: Path, capsys: Said, tmp_path: Path
) -> None:
    [web] = fleet.create(["web"], "web:1", SPARSE)
    put(image(state, web), "srv/site", "mine")
    lived.keep(fleet, tmp_path, "web", "that", {"row": "42"})
    assert lived.names(fleet, tmp_path) == ["web"]
    ended = said(capsys, "rebase", "web", "--onto", "web:2", "-y")
    assert ended.code == 0, ended
    assert fleet.machine("web").instance.trial is not None
    put(image(state, web), "srv/later", "of the test")
    assert lived.kept(fleet, tmp_path, "web", "that") == {"row": "42"}
    now = fleet.machine("web").instance
    assert (now.stack, now.trial) == (web.stack, None)
    assert (has(state, web, "srv/site"), has(state, web, "srv/later")) == ("mine", None)
    assert lived.kept(fleet, tmp_path, "web", "that") is not None
    assert lived.kept(fleet, tmp_path, "web", "other") is None
    lived.forget(fleet, tmp_path, "web")
    assert fleet.names() == [] and lived.kept(fleet, tmp_path, "web", "that") is None
