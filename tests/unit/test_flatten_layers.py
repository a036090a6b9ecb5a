"""The small machine's script mounts a machine's layers in their order, above the master."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "guest/appliance/flatten"


@pytest.mark.parametrize(
    ("layers", "lowers", "mounted"),
    [("0", "/lower", []), ("2", "/layer/2:/layer/1:/lower", ["skinny-layer-1", "skinny-layer-2"])],
)
def test_layers_are_mounted_in_order(tmp_path: Path, layers: str, lowers: str, mounted: list[str]) -> None:
    text = SCRIPT.read_text()
    start = text.index("mount_layers() {")
    function = text[start : text.index("\n}\n", start) + 3]
    stubs = f'word() {{ echo {layers}; }}\nmkdir() {{ :; }}\nmount_master() {{ echo "$1 $2"; }}\n'
    done = subprocess.run(
        ["dash", "-euc", f'{stubs}{function}mount_layers; echo "LOWERS $LOWERS"'],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    *seen, last = done.stdout.splitlines()
    assert last == f"LOWERS {lowers}"
    assert [line.split()[0] for line in seen] == mounted
    assert all(line.split()[1] in lowers.split(":") for line in seen)
