"""A fleet on real machines when commands are killed while they start one, and when the host goes down."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.masters import imports
from skinnybox.operation import Operation
from tests.conftest import INIT, initrd
from tests.pace import within

pytestmark = pytest.mark.boot

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
SECONDS = 60.0
# As the guest part does, the tiny guest reads the master's UUID from the superblock it was given.
TELLS = rb"""
u=$(hexdump -s 1072 -n 16 -e '16/1 "%02x"' "$(disk skinny-master)")
u=$(echo "$u" | sed -E 's/(.{8})(.{4})(.{4})(.{4})/\1-\2-\3-\4-/')
report ready "image $u" "seed 1" "uptime"""
RESTARTED = 'mount --bind "$1" /proc/sys/kernel/random/boot_id && shift && exec "$@"'
KILLED_AT = """
import os, signal, sys
from skinnybox.cli.main import run_command
def audit(event, arguments):
    if event == {event!r} and {where!r} in str(arguments):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(audit)
sys.exit(run_command(sys.argv[1:]))
"""


@pytest.fixture
def state(tmp_path: Path, test_kernel: Path) -> Path:
    """A state folder with a master that the tiny guest is the kernel and initrd of."""
    busybox = run.find("busybox")
    if busybox is None or b"/ld-linux" in busybox.read_bytes()[:4096]:
        pytest.skip("no static busybox (Debian: busybox-static)")
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "os-release").write_text('PRETTY_NAME="Tiny"\n')
    boot = tmp_path / "initrd"
    assert b'report ready "uptime' in INIT
    boot.write_bytes(
        initrd(test_kernel / "lib/modules", busybox, INIT.replace(b'report ready "uptime', TELLS.strip()))
    )
    imports.import_tree(
        tree, store=tmp_path / "state" / "masters", name="tiny", version="1", as_is=True,
        kernel=next(test_kernel.glob("boot/vmlinuz-*")), initrd=boot, allow_foreign=True,
        operation=Operation(),
    )  # fmt: skip
    return tmp_path / "state"


@pytest.fixture
def cli(state: Path) -> Iterator[Cli]:
    """Run a command line on it in a process of its own; all machines are ended at last."""

    def run_it(
        *words: str, before: tuple[str, ...] = (), code: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        program = ("-c", code) if code else ("-m", "skinnybox")
        argv = [*before, sys.executable, *program, "--state", str(state), *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=within(4 * SECONDS))

    yield run_it
    kill_all(state)


def processes(state: Path) -> list[int]:
    """QEMUs, those about to be one, and supervisors of this folder."""
    marks = [path.name.encode() for path in (state / "instances").glob("*")] + [bytes(state / "run")]
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if any(mark in words for mark in marks) and int(path.parent.name) != os.getpid():
            found.append(int(path.parent.name))
    return found


def kill_all(state: Path) -> None:
    found = processes(state)
    for each in (signal.SIGSTOP, signal.SIGKILL):  # at once: none sees another's end, and writes it down
        for pid in found:
            # A supervisor ends by itself, a while after its machines.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, each)


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + within(SECONDS)
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def create(cli: Cli, *words: str) -> None:
    made = cli("create", "-m", "tiny", "--sparse", "--overlay", "32M", "--memory", "128M",
               "--network", "restricted", *words)  # fmt: skip
    assert made.returncode == 0, made.stderr


def shown(done: "subprocess.CompletedProcess[str]") -> dict[str, dict[str, object]]:
    assert done.returncode == 0, done.stderr
    return {machine["name"]: machine for machine in json.loads(done.stdout)}


def test_a_start_killed_before_it_wrote_down_its_qemu_leaves_none(cli: Cli, state: Path) -> None:
    create(cli, "a")
    killed = cli("start", "a", code=KILLED_AT.format(event="open", where=".machine.json."))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    until(lambda: not processes(state))
    assert shown(cli("list", "--format", "json"))["a"]["state"] == "stopped"
    assert cli("changes", "a").returncode in (0, 1)  # nobody holds the overlay
    assert "a: ready" in cli("start", "a").stdout


def test_a_start_killed_later_is_taken_over_by_the_next_look(cli: Cli, state: Path) -> None:
    create(cli, "a")
    killed = cli("start", "a", code=KILLED_AT.format(event="socket.connect", where="qmp"))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    until(lambda: len(processes(state)) == 1)
    until(lambda: shown(cli("list", "--format", "json"))["a"]["state"] == "ready")
    assert "a: ready" in cli("start", "a").stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="another boot id needs a mount namespace")
def test_the_host_goes_down(cli: Cli, state: Path, tmp_path: Path) -> None:
    """As far as a test can: everything of ours is killed at once, and the kernel has another boot id."""
    create(cli, "a", "b", "--autostart")
    create(cli, "c")
    assert cli("start", "a").returncode == 0
    claimed = cli(
        "create", "d", "-m", "tiny", "--sparse", code=KILLED_AT.format(event="os.link", where="overlay")
    )
    assert claimed.returncode == -signal.SIGKILL, claimed.stderr
    kill_all(state)
    until(lambda: not processes(state))
    machine = next((state / "run").glob("*/machine.json"))
    values = json.loads(machine.read_text())
    again = Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[19]
    machine.write_text(json.dumps({**values, "pid": os.getpid(), "start_time": int(again)}))

    (tmp_path / "boot_id").write_text("11111111-2222-4333-8444-555555555555\n")
    restarted = ("unshare", "--mount", "sh", "-euc", RESTARTED, "sh", str(tmp_path / "boot_id"))
    seen = shown(cli("list", "--format", "json", before=restarted))
    assert {name: machine["state"] for name, machine in seen.items()} == {
        "a": "crashed", "b": "stopped", "c": "stopped", "d": "creating",
    }  # fmt: skip
    assert seen["a"]["reason"] == "the host went down while it ran"
    assert not machine.exists()

    started = cli("start", "--autostart", before=restarted)
    assert re.fullmatch(r"a: ready after .*\nb: ready after .*\n", started.stdout), started.stderr
    seen = shown(cli("list", "--format", "json", before=restarted))
    assert {name: machine["state"] for name, machine in seen.items()} == {
        "a": "ready", "b": "ready", "c": "stopped",
    }  # fmt: skip
    assert len(list((state / "instances").iterdir())) == 3
    assert cli("kill", "*", before=restarted).returncode == 0
