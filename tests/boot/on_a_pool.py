"""An emulated pool whose machines boot, and the command line on it as a user types it."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.fleet.service import Fleet
from skinnybox.masters import efi
from tests.emulators.xapi import PASSWORD, EmulatedPool, qemu_words

PLUGIN = Path(__file__).parents[2] / "xenserver" / "skinnybox"
SECONDS = 300.0
Skinnybox = Callable[..., str]


@contextmanager
def booting(folder: Path, bridge: str | None = None) -> Iterator[EmulatedPool]:
    """With shared storage, our dom0 plugin, and a network `lan`, on a `bridge` of this machine or on none."""
    if efi.missing() or not qemu_words.FIRMWARE.exists():
        pytest.skip(f"needs ovmf and {' '.join(efi.missing())}")
    plugins = folder / "plugins"
    plugins.mkdir()
    shutil.copy(PLUGIN, plugins / "skinnybox")
    with EmulatedPool(boots=True, plugins=plugins, shutdown_timeout=120.0) as pool:
        pool.add_sr("shared", "nfs")
        pool.add_network("lan", bridge=bridge)
        yield pool


def state_with(fleet: Fleet, master: str, folder: Path) -> Path:
    """A state folder of its own with the same master in it."""
    sealed = fleet.masters.folder(fleet.masters.find(master))
    copy = folder / "state" / "masters" / sealed.name
    copy.parent.mkdir(parents=True)
    shutil.copytree(sealed, copy, copy_function=os.link)
    return folder / "state"


def command_line(pool: EmulatedPool, state: Path, *, reach: bool) -> Skinnybox:
    """The real one, over TLS with the certificate pinned. Returns what it prints; it must not fail. `reach`:
    machines can be reached from here."""
    host = f"xapi://root@{pool.tls_url.removeprefix('https://').rstrip('/')}?sha256={pool.fingerprint}"
    environment = {
        **os.environ,
        "SKINNYBOX_HOST": host,
        "SKINNYBOX_STATE": str(state),
        "SKINNYBOX_XAPI_PASSWORD": PASSWORD,
        "SKINNYBOX_REACH": "true" if reach else "false",
    }

    def call(*words: str) -> str:
        done = run.run([sys.executable, "-m", "skinnybox", *words], env=environment, ok=range(256))
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    return call
