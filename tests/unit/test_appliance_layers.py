"""The small machines mount a machine's layers in their order, above the master."""

import subprocess
from pathlib import Path

import pytest

APPLIANCE = Path(__file__).parents[2] / "guest/appliance"
STUBS = """
word() { echo "$COUNT"; }
layers() { echo "$COUNT"; }
mkdir() { :; }
mount_master() { echo "$1 $2"; }
"""


@pytest.mark.parametrize(
    ("script", "says"), [("flatten", 'echo "LOWERS $LOWERS"'), ("gate", 'echo "LOWERS $LAYERS/lower"')]
)
@pytest.mark.parametrize("count", [0, 2])
def test_layers_are_mounted_in_order(script: str, says: str, count: int) -> None:
    text = (APPLIANCE / script).read_text()
    start = text.index("mount_layers() {")
    function = text[start : text.index("\n}\n", start) + 3]
    done = subprocess.run(
        ["dash", "-euc", f"COUNT={count}\n{STUBS}{function}mount_layers\n{says}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    *seen, last = done.stdout.splitlines()
    assert last == "LOWERS " + "".join(f"/layer/{n}:" for n in range(count, 0, -1)) + "/lower"
    assert seen == [f"skinny-layer-{n} /layer/{n}" for n in range(1, count + 1)]
