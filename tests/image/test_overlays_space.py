"""Where the host has no room, or cannot promise any: a clear refusal, and nothing left behind."""

import os
import sys
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.overlays.template import template
from skinnybox.sizes import MIB

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a filesystem needs root")
pytestmark = [pytest.mark.image, needs_root]

FULL = """
import sys
from pathlib import Path
from skinnybox.errors import NoSpace
from skinnybox.model import Allocation
from skinnybox.overlays.make import make
from skinnybox.overlays.template import template
folder, cache, allocation = Path(sys.argv[1]), Path(sys.argv[2]), Allocation(sys.argv[3])
(folder / "other").write_bytes(bytes(int(sys.argv[4])))
try:
    make(template(cache, 64 << 20), folder / "overlay.img", base=b"b", seed=b"s", allocation=allocation)
except NoSpace as error:
    print(error, *sorted(path.name for path in folder.iterdir()), sep="|")
"""


@pytest.mark.parametrize(("allocation", "fill"), [("reserved", 0), ("sparse", (16 << 20) - 65536)])
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, allocation: str, fill: int) -> None:
    folder, cache = tmp_path / "mounted", tmp_path / "cache"
    folder.mkdir()
    template(cache, 64 * MIB)
    mounted = 'mount -t tmpfs -o size=16m none "$1" && "$2" -c "$3" "$1" "$4" "$5" "$6"'
    words = ["sh", str(folder), sys.executable, FULL, str(cache), allocation, str(fill)]
    said = run.run(["unshare", "-m", "sh", "-c", mounted, *words]).stdout.decode()
    assert said == "there is no room for an overlay of 64.0M|other\n"


TRY = """
import sys
from pathlib import Path
from skinnybox.errors import Unsupported
from skinnybox.model import Allocation
from skinnybox.overlays.make import make
from skinnybox.overlays.template import template
folder, form = Path(sys.argv[1]), template(Path(sys.argv[2]), 64 << 20)
try:
    make(form, folder / "overlay.img", base=b"b", seed=b"s", allocation=Allocation.RESERVED)
except Unsupported as error:
    print(error.hint, list(folder.iterdir()), sep="|")
make(form, folder / "overlay.img", base=b"b", seed=b"s", allocation=Allocation.SPARSE)
"""


def test_a_filesystem_that_cannot_reserve(tmp_path: Path) -> None:
    """ramfs has no fallocate; posix_fallocate would have written zeros and called it done."""
    folder, cache = tmp_path / "mounted", tmp_path / "cache"
    folder.mkdir()
    template(cache, 64 * MIB)
    mounted = 'mount -t ramfs none "$1" && "$2" -c "$3" "$1" "$4"'
    words = ["sh", str(folder), sys.executable, TRY, str(cache)]
    said = run.run(["unshare", "-m", "sh", "-c", mounted, *words]).stdout.decode()
    assert said.startswith("--sparse")
    assert said.endswith("|[]\n")
