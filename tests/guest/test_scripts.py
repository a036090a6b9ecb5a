"""The guest's scripts as such."""

import shutil
from pathlib import Path

import pytest

from skinnybox import run
from tests.guest.conftest import GUEST

SCRIPTS = [
    *GUEST.glob("lib/*.sh"),
    *GUEST.glob("bin/*"),
    *GUEST.glob("initramfs/*"),
    *GUEST.glob("appliance/*"),
    GUEST / "kernel-notice",
    *(GUEST / "package" / name for name in ("preinst", "prerm", "reload", "skinnybox-guest-check")),
    GUEST / "systemd/shutdown",
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(GUEST)))
def test_both_shells_can_read_every_script(script: Path) -> None:
    assert len(SCRIPTS) > 20
    for shell in (["dash"], ["busybox", "sh"]):
        if shutil.which(shell[0]):
            run.run([*shell, "-n", script])


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(GUEST)))
def test_files_stay_small(script: Path) -> None:
    assert len(script.read_text().splitlines()) <= 200
