"""Runs pieces of the guest part under both shells they are written for, with functions in place of programs
that would touch the machine (busybox prefers its own applets to anything on PATH, but not to functions)."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from skinnybox import run

GUEST = Path(__file__).parents[2] / "guest"
INSTANCE = "11111111-2222-4333-8444-555555555555"
OTHER = "99999999-2222-4333-8444-555555555555"
IMAGE = "aaaaaaaa-bbbb-8ccc-8ddd-eeeeeeeeeeee"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a piece of shell ended; `calls` are the stubbed programs with their arguments, in order."""

    code: int
    out: str
    calls: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A shell with a fake machine below `tmp`: sys, proc, dev, run and root."""

    argv: list[str]
    tmp: Path

    def __call__(self, parts: str, script: str, *, stubs: Iterable[str] = ()) -> Ended:
        """Read the library's `parts` and run `script`; each of `stubs` only notes that it was called."""
        log = self.tmp / "calls"
        log.unlink(missing_ok=True)
        noted = "".join(f'{name}() {{ echo {name} "$@" >>{log}; }}\n' for name in stubs)
        read = "".join(f". {GUEST}/lib/{part}.sh\n" for part in parts.split())
        done = run.run(
            [*self.argv, "-uc", f"{read}{noted}{script}"],
            env=self.environment(),
            ok=range(256),
            timeout=30,
        )
        calls = log.read_text().splitlines() if log.exists() else []
        return Ended(code=done.returncode, out=(done.stdout + done.stderr).decode(), calls=calls)

    def environment(self) -> dict[str, str]:
        places = {name.upper(): str(self.tmp / name) for name in ("sys", "proc", "dev", "run", "root")}
        return {
            **places,
            "PATH": os.environ["PATH"],
            "DISK_POLLS": "1",
            "MKE2FS": "/sbin/mke2fs",
            "CHATTR": "/usr/bin/chattr",
            "LIB": str(GUEST / "lib"),
        }

    def cmdline(self, text: str) -> None:
        (self.tmp / "proc/cmdline").write_text(text + "\n")

    def says(self, **words: str | bytes) -> None:
        """What the host said, as channels.sh leaves it."""
        folder = self.tmp / "run/host"
        folder.mkdir(exist_ok=True)
        for name, value in words.items():
            (folder / name).write_bytes(value if isinstance(value, bytes) else value.encode())

    def disk(self, name: str, serial: str | None, content: bytes = b"") -> Path:
        """A disk in the fake /sys and /dev; serials end without a newline, as virtio-blk's do."""
        folder = self.tmp / "sys/block" / name
        folder.mkdir(parents=True)
        if serial is not None:
            (folder / "serial").write_text(serial)
        device = self.tmp / "dev" / name
        device.write_bytes(content)
        return device


def _shells() -> list[list[str]]:
    return [["dash"], ["busybox", "sh"]]


@pytest.fixture(params=_shells(), ids=lambda argv: argv[0])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    argv: list[str] = request.param
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed")
    for name in ("sys/block", "proc", "dev", "run", "root/etc/ssh"):
        (tmp_path / name).mkdir(parents=True)
    made = Shell(argv=argv, tmp=tmp_path)
    made.cmdline("boot=skinnybox console=ttyS0 ro")
    made.says(instance=INSTANCE, nonce="abc123")
    return made
