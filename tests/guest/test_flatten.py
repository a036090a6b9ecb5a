"""What the appliance takes out of a flattened tree, for the inits that no test flattens by booting."""

from pathlib import Path

import pytest

from skinnybox.masters.fitting import inits
from skinnybox.masters.guest_part import guest_folder
from tests.guest.conftest import Shell
from tests.image.families import FAMILIES

FLATTEN = guest_folder() / "appliance/flatten"


def listing(tree: Path) -> dict[str, str]:
    return {
        str(path.relative_to(tree)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in tree.rglob("*")
        if path.is_symlink() or (path.is_file() and path.suffix not in (".xz", ".gz"))
    }


@pytest.mark.parametrize(
    "name",
    ["Debian 12 with sysvinit", "Ubuntu 14.04", "Alpine", "Gentoo with OpenRC", "busybox with an inittab"],
)
def test_nothing_of_ours_is_left_for_another_init(shell: Shell, tmp_path: Path, name: str) -> None:
    tree = FAMILIES[name].make(tmp_path / "tree")
    if "sysvinit" in name:
        (tree / "etc/init.d").mkdir()
        (tree / "etc/init.d/.depend.stop").write_text("TARGETS = umountroot halt\nhalt: umountroot\n")
    kernel = next((tree / "boot").iterdir())
    kernel.unlink()  # no text
    before = listing(tree)
    inits.fit(tree)
    assert listing(tree) != before
    text = FLATTEN.read_text()
    function = text[text.index("forget_other_inits() {") :].partition("\n}\n")[0] + "\n}\n"
    ended = shell("", f"{function}cd {tree} && forget_other_inits && rm -r usr/lib/skinnybox")
    assert (ended.code, ended.out) == (0, "")
    assert listing(tree) == before
