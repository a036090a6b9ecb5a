"""A rebase, the way back and giving it up, as whole commands, killed at any moment of them: as before, or
done by the next command, and nothing lost. (test_blows.py kills them at each change, this one
by the clock.)"""

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.faults.conftest import Place
from tests.faults.rebase_kills import Walk
from tests.fleet.test_rebase import two_masters

__all__ = ["two_masters"]
pytestmark = [pytest.mark.image, pytest.mark.skipif(os.geteuid() != 0, reason="overlays are written as root")]

KILLS = int(os.environ.get("SKINNYBOX_REBASE_KILLS") or 1000)
"""How many the long tier does; on two cores a thousand take about half an hour."""


@pytest.mark.parametrize(
    "count", [4, pytest.param(KILLS, marks=[pytest.mark.full, pytest.mark.timeout(14400)])]
)
def test_killed_at_any_moment(count: int, tmp_path: Path, two_masters: Path) -> None:
    seed = int(os.environ.get("SKINNYBOX_FAULTS_SEED") or random.randrange(1 << 32))
    print(f"SKINNYBOX_FAULTS_SEED={seed}")
    shutil.copytree(two_masters, tmp_path / "place/state")
    walk = Walk(place=Place(folder=tmp_path / "place", host="fake"), chance=random.Random(seed))
    walk.begin()
    while walk.kills.total() < count:
        walk.step()
        print(dict(walk.kills), f"{walk.left_alone} left alone", flush=True)
