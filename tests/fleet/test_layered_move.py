"""Machines with layers that move to another state folder, on the fake host."""

from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.model import Instance, Layer
from tests.fleet.conftest import SPARSE, open_fake, said
from tests.fleet.test_layered import changes, copied_up, low, top, web

__all__ = ["low", "top", "web"]


@pytest.mark.full
def test_moved_with_its_layers(
    fleet: Fleet, state: Path, tmp_path: Path, web: Instance, low: Layer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each once, also where the other machine was moved before."""
    copied_up(state, web, "srv/site/own", b"own\n")
    fleet.create(["other"], "tiny", replace(SPARSE, layers=("low",)))
    to = tmp_path / "elsewhere"
    ended = said(capsys, "--state", str(state), "--host", "fake", "move", "other", "web", "--to", str(to))
    assert ended.code == 0 and fleet.names() == [], ended
    with open_fake(to) as there:
        assert there.machine("web").instance.stack == web.stack and changes(there) == {
            "srv/site/own": "added"
        }
        assert [each.reference for each in there.layers.all()] == ["low:1", "top:1"]
        assert there.layers.verify("low:1") == low
        there.start(["web"])
