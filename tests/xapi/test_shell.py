"""script/pool: what docs/how-to/pool-without-a-pool.md tells people to try, typed as it stands there."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from skinnybox.masters import efi

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(bool(efi.missing()), reason="no disk of a master can be made here"),
]
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "pool-without-a-pool.md"
TYPED = re.findall(r"^\$ (skinnybox .*)$", PAGE.read_text(), re.MULTILINE)


def shell(*words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **variables}
    argv = [sys.executable, "-m", "tests.xapi.shell", *words]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=300)


def _untimed(table: str) -> list[str]:
    """Its words; on a busy host an emulated boot takes a tenth of a second as well."""
    return re.sub(r"\b\d+\.\d s\b", "SECONDS", table).split()


def test_what_the_page_tells_to_type_goes_well() -> None:
    assert len(TYPED) > 8
    script = "set -e\n" + "".join(f'echo "$ {line}"\n{line}\n' for line in TYPED)
    done = shell("--hosts", "2", "sh", "-c", script)
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    answers = dict(re.findall(r"^\$ (skinnybox \S+ ?\S*).*\n((?:[^$].*\n)*)", done.stdout, re.MULTILINE))
    shown = re.findall(r"^\$ (skinnybox list)\n((?:[^`$].*\n)+)", PAGE.read_text(), re.MULTILINE)
    assert [_untimed(answers[line]) for line, _ in shown] == [_untimed(text) for _, text in shown]


def test_nothing_of_ones_own_is_used_and_nothing_is_left(tmp_path: Path) -> None:
    script = 'echo "$SKINNYBOX_STATE"; env | grep -c "^SKINNYBOX_"; skinnybox list --names; exit 7'
    mine = {
        "SKINNYBOX_STATE": str(tmp_path),
        "SKINNYBOX_XAPI_PASSWORD_FILE": "/none",
        "TMPDIR": str(tmp_path),
    }
    done = shell("sh", "-c", script, **mine)
    state, variables, *names = done.stdout.split()
    assert (done.returncode, variables, names) == (7, "4", [])
    assert state != str(tmp_path) and not Path(state).exists() and not list(tmp_path.iterdir())


def test_without_a_command_it_is_ones_own_shell() -> None:
    with tempfile.TemporaryDirectory() as folder:
        mine = Path(folder, "shell")
        mine.write_text('#!/bin/sh\nskinnybox doctor | grep "ok *pool"\n')
        mine.chmod(0o755)
        done = shell(SHELL=str(mine))
    assert done.returncode == 0 and "ok    pool" in done.stdout
    assert "skinnybox create" in done.stderr and "{" in done.stderr and "{{" not in done.stderr
