"""What a short command waits for before it begins, and how it ends.

What is imported for nothing no other test sees, and each command takes its milliseconds longer.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.samples import seal

HEAVY = {
    "asyncio", "ast", "concurrent.futures", "csv", "ctypes", "dataclasses", "difflib", "dis", "email", "gzip",
    "http", "importlib.metadata", "importlib.resources", "inspect", "logging", "lzma", "multiprocessing",
    "random", "selectors", "shutil", "socket", "ssl", "subprocess", "tempfile", "textwrap", "tokenize",
    "tomllib", "traceback", "unittest", "urllib.request",
}  # fmt: skip
"""Of the library: each takes 0.5 to 15 ms."""
OF_OTHERS = {"fastapi", "pydantic", "rich", "shtab", "uvicorn", "XenAPI", "yaml"}
OF_SOME_COMMANDS = {
    "skinnybox.appliance", "skinnybox.delta", "skinnybox.ext4", "skinnybox.fleet.plan",
    "skinnybox.fleet.spec.shape", "skinnybox.hosts.fake", "skinnybox.hosts.xapi", "skinnybox.issues",
    "skinnybox.masters.index", "skinnybox.run.programs",
}  # fmt: skip

PROCESS = """
import atexit, sys
from skinnybox.__main__ import run_process
atexit.register(lambda: print(*sys.modules, sep="\\n", file=sys.stderr))
run_process()
"""


def imported(state: Path, *words: str) -> set[str]:
    """The modules that this command has at its end."""
    argv = [sys.executable, "-I", "-c", PROCESS, *words]
    environment = {"SKINNYBOX_STATE": str(state), "HOME": str(state), "PATH": "/usr/bin"}
    ended = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    return set(ended.stderr.split())


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With two machines, and so with the templates of their overlays."""
    folder = tmp_path_factory.mktemp("starting")
    seal(folder, folder, "debian", "12")
    imported(folder, "create", "m-0", "-m", "debian", "--overlay", "64M")
    imported(folder, "create", "m-1", "-m", "debian", "--sparse")
    return folder


@pytest.mark.parametrize(
    ("words", "but"),
    [
        (["list"], set()),
        (["list", "m-*"], set()),
        (["show", "m-1"], set()),
        (["master", "list"], set()),
        (["create", "m-2", "-m", "debian", "--sparse"], set()),
        (["create", "m-3", "-m", "debian", "--overlay", "64M"], {"ctypes"}),
        (["__complete", "machines"], set()),
    ],
)
def test_it_imports_nothing_that_it_does_not_need(state: Path, words: Sequence[str], but: set[str]) -> None:
    found = imported(state, *words)
    assert found & (HEAVY | OF_OTHERS | OF_SOME_COMMANDS) == but
    assert "skinnybox" in found


def test_the_version_waits_for_next_to_nothing(state: Path) -> None:
    found = {name for name in imported(state, "--version") if name.startswith("skinnybox")}
    assert found == {
        "skinnybox",
        "skinnybox.__main__",
        "skinnybox.cli",
        "skinnybox.cli.streams",
        "skinnybox.errors",
    }


def ended(code: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-I", "-c", f"from skinnybox import __main__\n{code}"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def test_who_asked_to_be_called_at_the_end_is_called() -> None:
    found = ended("import atexit; atexit.register(print, 'the end', flush=True); __main__._end(3)")
    assert (found.returncode, found.stdout) == (3, "the end\n")


def test_what_was_said_beside_the_output_arrives() -> None:
    found = ended("import sys; sys.stderr.write('half a line'); __main__._end(0)")
    assert (found.returncode, found.stderr) == (0, "half a line")


def test_a_thread_that_works_is_waited_for() -> None:
    found = ended(
        "import threading, time\n"
        "def work(): time.sleep(0.3); print('done', flush=True)\n"
        "threading.Thread(target=work).start(); __main__._end(4)"
    )
    assert (found.returncode, found.stdout) == (4, "done\n")


def test_what_no_thread_works_at_is_not_taken_apart() -> None:
    found = ended(
        "class Kept:\n"
        "    def __del__(self): print('taken apart', flush=True)\n"
        "kept = Kept(); __main__._end(0)"
    )
    assert (found.returncode, found.stdout) == (0, "")
