"""The small machines mount a machine's layers in their order, above the master."""

import re
import subprocess
from pathlib import Path

import pytest

APPLIANCE = Path(__file__).parents[2] / "guest/appliance"
STUBS = """
mkdir() { :; }
mount_master() { echo "$1 $2"; }
"""


@pytest.mark.parametrize("who", ["flatten", "gate", "replay"])
@pytest.mark.parametrize("count", [0, 2])
def test_layers_are_mounted_in_order(who: str, count: int, tmp_path: Path) -> None:
    text = (APPLIANCE / "begin").read_text()
    function = text[text.index("mount_layers() {") :]
    (tmp_path / "cmdline").write_text(f"console=ttyS0 other.layers=9 {who}.layers={count} quiet\n")
    said = f'CMDLINE={tmp_path}/cmdline WHO={who}\n{STUBS}{function}mount_layers\necho "=$LAYERS"'
    done = subprocess.run(["dash", "-euc", said], capture_output=True, text=True, check=True)
    *seen, last = done.stdout.splitlines()
    assert last == "=" + "".join(f"/layer/{n}:" for n in range(count, 0, -1))
    assert seen == [f"skinny-layer-{n} /layer/{n}" for n in range(1, count + 1)]


@pytest.mark.parametrize(("script", "lowest"), [("flatten", "/lower"), ("gate", r"\$3"), ("view", "/lower")])
def test_they_lie_above_the_master_in_each_view(script: str, lowest: str) -> None:
    text = (APPLIANCE / script).read_text()
    assert text.index("    mount_layers\n") > text.index("skinny-master /lower") or script == "gate"
    [view] = re.findall(r'-o "[^"]*lowerdir=([^,"]*)', text)
    assert re.fullmatch(rf"(?:[^:]*/upper:)?\$LAYERS{lowest}", view)
