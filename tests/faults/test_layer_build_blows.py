"""A layer's building struck as the commands in scenarios.py are. Apart from them: each blow unpacks a stack,
and runs programs in it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import Place
from tests.faults.injector import Deed, needs_injector
from tests.faults.scenarios import Scenario
from tests.faults.test_promote_blows import struck
from tests.layered import planted

BUSYBOX = shutil.which("busybox")
pytestmark = [
    pytest.mark.image, pytest.mark.full, pytest.mark.timeout(1800), needs_injector,
    pytest.mark.skipif(BUSYBOX is None, reason="no static busybox here"),
]  # fmt: skip
FILES = {"etc/os-release": "x", "usr/lib/skinnybox/protocol": "5\n", "etc/motd": "hello\n"}
RECIPE = "scripts:\n  - mkdir -p /opt/tool; echo run >/opt/tool/run; echo more >>/etc/motd\n"


def with_programs(place: Place) -> None:
    tree = planted(place.folder / "tree", FILES)
    (tree / "bin").mkdir()
    shutil.copy(Path(BUSYBOX or ""), tree / "bin/busybox")
    for name in ("sh", "cat", "chmod", "mkdir"):
        (tree / "bin" / name).symlink_to("busybox")
    for name in ("kernel", "initrd"):
        (place.folder / name).write_bytes(b"x" * 100)
    kernel = ("--kernel", str(place.folder / "kernel"), "--initrd", str(place.folder / "initrd"))
    place.ok("master", "import", str(tree), "box:1", "--as-is", *kernel)
    (place.folder / "recipe.yaml").write_text(RECIPE)


def built(place: Place) -> None:
    place.ok("layer", "verify", "tool:1")
    assert len(place.ok("layer", "list", "--format", "csv", "--no-headers").splitlines()) == 1


BUILD = Scenario(
    name="layer-build", words=("layer", "build", "tool:1", "@/recipe.yaml", "--for", "box"),
    prepare=with_programs, wanted=built,
)  # fmt: skip


@pytest.mark.parametrize("deed", list(Deed))
def test_a_building_that_is_struck_leaves_a_layer_or_none(deed: Deed, copied: Callable[[], Place]) -> None:
    struck(BUILD, deed, copied)
