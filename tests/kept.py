"""The program and a state folder of the version before, kept as they were: tests/data/protocol-1."""

import os
import subprocess
import sys
from pathlib import Path

KEPT = Path(__file__).parent / "data" / "protocol-1"


def unpacked(name: str, folder: Path) -> Path:
    """`program` (src and guest) or `state`, unpacked into a fresh folder."""
    folder.mkdir(parents=True)
    subprocess.run(["tar", "-xJf", KEPT / f"{name}.tar.xz", "-C", folder], check=True)
    return folder


def kept_program(folder: Path, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a command line of the kept program, on the fake host."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "SKINNYBOX_HOST": "memory"}
    argv = [sys.executable, "-c", _MAIN, *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, env=environment, check=False, timeout=120)


# Before the installed package, which an editable install puts on the path by other means than PYTHONPATH.
_MAIN = """
import os, sys
sys.path.insert(0, os.environ["PYTHONPATH"])
import skinnybox
assert skinnybox.__file__.startswith(os.environ["PYTHONPATH"]), skinnybox.__file__
from skinnybox.__main__ import main
sys.exit(main())
"""
