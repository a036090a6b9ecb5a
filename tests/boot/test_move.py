"""A machine goes to another computer by a real ssh, as a user types it, and starts there."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.view import MachineView
from skinnybox.model import DataDisk
from skinnybox.sizes import MIB
from tests.boot.conftest import CACHE, Create
from tests.fleet import other_computer
from tests.pace import within

Up = Callable[[str], MachineView]
Down = Callable[[str], None]
Sh = Callable[[str, str], str]
pytestmark = pytest.mark.timeout(1800)
MADE = """
mkdir -p /srv/site && echo hello >/srv/site/page && ln /srv/site/page /srv/site/same
echo theirs >/data/rows
dd if=/dev/zero of=/srv/site/holes bs=1 count=1 seek=50M 2>/dev/null
chown 33:33 /srv/site/page; sync
"""
WALKED = """
cd /srv/site
stat -c '%n %h %a %u %g %s %Y' *
sha256sum *
cat /data/rows /etc/machine-id /etc/ssh/*.pub
"""


@pytest.mark.full
def test_it_starts_there_as_who_it_was(
    fleet: Fleet, create: Create, up: Up, down: Down, sh: Sh, tmp_path: Path
) -> None:
    create("goes", data=DataDisk(size=64 * MIB, folders=("/data",)))
    up("goes")
    sh("goes", MADE)
    before, keys = sh("goes", WALKED), fleet.machine("goes").host_keys
    down("goes")
    there = tmp_path / "there"
    with other_computer.computer(tmp_path / "computer") as computer:
        program = [sys.executable, "-m", "skinnybox", "--state", str(CACHE)]
        path = f"{computer.folder}/ssh{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [*program, "move", "goes", "--to", f"ssh://other{there}"],
            env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=within(600),
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "goes" not in fleet.names()
    with open_fleet(Settings(state=there)) as far:
        (outcome,) = far.start(["goes"], timeout=within(600))
        assert outcome.error is None, outcome.error
        try:
            (found,) = far.remote.execute(["goes"], ["sh", "-euc", WALKED])
            assert found.value is not None and found.value.stdout.decode() == before
            assert far.machine("goes").host_keys == keys
        finally:
            far.kill(["goes"])
