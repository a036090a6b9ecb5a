"""A state folder with two machines that nothing may touch, copied for each blow, and commands in it."""

import contextlib
import hashlib
import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.cli.main import run_command
from skinnybox.overlays.space import data_ranges
from tests.faults.leftovers import unexplained
from tests.layered import planted
from tests.samples import seal

PROGRAM = Path(sys.executable).parent / "skinnybox"
CREATE = ("create", "-m", "tiny", "--overlay", "32M", "--sparse")
IMPORT = (
    "master",
    "import",
    "--as-is",
    "@/other.tar",
    "other:1",
    "--kernel",
    "@/kernel",
    "--initrd",
    "@/initrd",
)
"""Words with @ in place of the folder of a Place."""
KEPT = ("keep-1", "keep-2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One state folder, in a folder of its own where a test may lie things beside it."""

    folder: Path
    host: str = "qemu"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def words(self, *words: str) -> list[str]:
        return [
            "-q",
            "--host",
            self.host,
            "--state",
            os.fspath(self.state),
            *(word.replace("@", str(self.folder)) for word in words),
        ]

    def argv(self, *words: str) -> list[str | Path]:
        return [PROGRAM, *self.words(*words)]

    def cli(self, *words: str) -> Said:
        """Run a command in this process: the same code, without an interpreter's start."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = run_command(self.words(*words))
            except SystemExit as ended:
                code = int(str(ended.code))
        return Said(code=code, out=out.getvalue(), err=err.getvalue())

    def ok(self, *words: str) -> str:
        said = self.cli(*words)
        assert said.code == 0, (words, said)
        return said.out

    def names(self) -> list[str]:
        return self.ok("list", "--names").split()

    def kept(self) -> dict[str, str]:
        """Digests of what nobody may touch: the master `tiny`, and the two machines."""
        records = json.loads(self.ok("show", *KEPT, "--format", "json"))
        tiny = json.loads(self.ok("master", "show", "tiny:1", "--format", "json"))
        folders = [Path(tiny["folder"]), *(self.state / "instances" / record["uuid"] for record in records)]
        files = sorted(path for folder in folders for path in folder.iterdir())
        return {str(path): _digest(path) for path in files}

    def tidy(self) -> None:
        """Nothing lies here that nobody accounts for."""
        assert unexplained(self.state) == []


def _digest(path: Path) -> str:
    """Of a file's bytes; holes are not read."""
    digest = hashlib.sha256(str(path.stat().st_size).encode())
    with path.open("rb", buffering=0) as file:
        for start, end in data_ranges(file.fileno()):
            digest.update(b"%d %d" % (start, end))
            digest.update(os.pread(file.fileno(), end - start, start))
    return digest.hexdigest()


def no_bug(said: Said) -> Said:
    """Whatever it answered, it is no traceback and no exit code of a bug."""
    assert said.code != 70 and said.code >= 0 and "Traceback" not in said.err, said
    if said.code:
        assert said.err.startswith("skinnybox: ") or "usage:" in said.err or said.out, said
    return said


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A master, two machines, and a tar to import: copied, never used."""
    folder = tmp_path_factory.mktemp("model")
    place = Place(folder=folder)
    seal(place.state, folder, "tiny", "1")
    place.ok(*CREATE, *KEPT)
    tree = folder / "tree-other"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "os-release").write_text('PRETTY_NAME="Other"\n')
    (tree / "usr/lib/skinnybox").mkdir(parents=True)
    (tree / "usr/lib/skinnybox/protocol").write_text("1\n")
    run.run(["tar", "-C", tree, "-cf", folder / "other.tar", "."])
    run.run(["rm", "-rf", tree])
    planted(folder / "site", {"srv/site/index.html": "hello"})
    return place


@pytest.fixture
def copied(model: Place, tmp_path: Path) -> Callable[[], Place]:
    """Each call gives a fresh copy in place of the last one."""

    def copy() -> Place:
        run.run(["rm", "-rf", tmp_path / "place"])
        run.run(["cp", "-a", "--sparse=always", "--reflink=auto", model.folder, tmp_path / "place"])
        return Place(folder=tmp_path / "place")

    return copy
