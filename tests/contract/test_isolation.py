"""What a QEMU that its guest has taken over could do: read back from /proc, and tried as its user."""

import json
import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from skinnybox.fleet.catalog.catalog import Catalog
from skinnybox.hosts.qemu.host import QemuHost
from skinnybox.model import Instance, Network, Status, ranges
from skinnybox.operation import Operation
from skinnybox.sandbox import jail
from skinnybox.sandbox.confinement import MachineBounds
from skinnybox.sandbox.process import in_force_of_machine
from skinnybox.sizes import MIB
from tests.contract.conftest import contents
from tests.contract.test_qemu import Guest, supervisor
from tests.samples import a_master, an_instance

pytestmark = [
    pytest.mark.boot,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may choose the user that QEMU runs as"),
]

KINDS = {"socket", "pipe", "anon_inode:[eventfd]", "anon_inode:[signalfd]", "anon_inode:[eventpoll]"}
"""What QEMU opens for itself, beside what it is handed."""

TRIES = r"""
import json, os, socket, sys
def told(deed, *words):
    try:
        deed(*words)
    except OSError as error:
        return type(error).__name__
    return "done"
def connect(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
wanted = json.load(sys.stdin)
found = {path: told(open, path, "rb") for path in wanted["files"]}
found |= {path: told(connect, path) for path in wanted["sockets"]}
for pid in wanted["processes"]:
    found[f"{pid} killed"] = told(os.kill, pid, 0)
    found[f"{pid} memory"] = told(open, f"/proc/{pid}/mem", "r+b")
    found[f"{pid} files"] = told(os.listdir, f"/proc/{pid}/fd")
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    """A state folder that everybody may look into, so that what is kept from others is so by itself."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        state = Path(folder, "state")
        state.mkdir(mode=0o755)
        yield state


@pytest.fixture(scope="module")
def two(tiny_guest: Path, state: Path) -> Iterator[list[Guest]]:
    """Two machines that run, for all tests here."""
    with closing(Catalog(state / "state.db")) as catalog:
        catalog.forget([])  # who writes makes it
    host, guests = QemuHost(state), []
    for name in ("evil", "calm"):
        instance = an_instance(name, memory=128 * MIB, network=Network.RESTRICTED)
        host.create_overlay(instance, contents(instance), Operation())
        host.define(instance)

        def boot(instance: Instance = instance) -> Status:
            return host.start(instance, a_master(), tiny_guest, Operation())

        guests.append(Guest(host, instance, boot, state))
        guests[-1].start()
        guests[-1].until(guests[-1].is_told)  # the supervisor is done with its files then
    yield guests
    for guest in guests:
        host.power_off(guest.instance)
    host.close()


def pid_of(guest: Guest) -> int:
    status = guest.status()
    assert status is not None and status.pid is not None
    return status.pid


def user(guest: Guest) -> int:
    return 0x7000_0000 + guest.instance.uuid.int % 0x0FFF_0000


def test_a_machine_of_its_own(two: list[Guest], state: Path) -> None:
    evil, calm = two
    assert user(evil) != user(calm)
    for guest in two:
        _every_thread_is_dropped(guest)
        _only_what_is_meant_is_open(guest, state)
        _limits_are_set(guest)
        _its_root_has_what_it_needs_and_no_more(guest)
    _files_are_the_owners(state)
    _its_user_reaches_nothing(evil, calm, state)


def _every_thread_is_dropped(guest: Guest) -> None:
    shown_of = [_status_of(task) for task in Path(f"/proc/{pid_of(guest)}/task").iterdir()]
    assert len([lines for lines in shown_of if lines]) > 1
    for lines in filter(None, shown_of):
        shown = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
        assert {*shown["Uid"], *shown["Gid"]} == {str(user(guest))}
        assert shown["Groups"] == []
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(shown[kind][0], 16) == 0, kind
        assert shown["NoNewPrivs"] == ["1"]
        assert shown["Seccomp"] == ["2"]
        assert int(shown.get("Seccomp_filters", ["2"])[0]) >= 2, "QEMU's own and ours"


def _status_of(task: Path) -> list[str]:
    """Nothing of a thread that has ended meanwhile: QEMU keeps those that write for it only a while."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return (task / "status").read_text().splitlines()
    return []


def _only_what_is_meant_is_open(guest: Guest, state: Path) -> None:
    instance = state / "instances" / str(guest.instance.uuid)
    meant = {"/dev/null", f"{instance}/overlay.img", f"{guest.folder}/qemu.log"}
    leads = _open_files(guest)
    opened = set(leads.values())
    sealed = {path for path in opened if Path(path).name in ("kernel", "initrd", "root.erofs")}
    assert len(sealed) == 3
    others = {re.sub(r":\[\d+\]$", "", path) for path in opened - meant - sealed}
    assert others <= KINDS, others - KINDS
    for descriptor, path in leads.items():
        if path in sealed:
            assert int(_of(guest, descriptor, "flags"), 8) & os.O_ACCMODE == os.O_RDONLY, path


def _open_files(guest: Guest) -> dict[str, str]:
    """What each descriptor of its QEMU leads to, but those that were closed while we looked."""
    found = {}
    for descriptor in Path(f"/proc/{pid_of(guest)}/fd").iterdir():
        with suppress(FileNotFoundError):
            found[descriptor.name] = str(descriptor.readlink())
    return found


def _of(guest: Guest, descriptor: str, key: str) -> str:
    text = Path(f"/proc/{pid_of(guest)}/fdinfo/{descriptor}").read_text()
    return next(line.split()[1] for line in text.splitlines() if line.startswith(f"{key}:"))


def _limits_are_set(guest: Guest) -> None:
    lines = Path(f"/proc/{pid_of(guest)}/limits").read_text().splitlines()
    shown = {line[:26].strip(): line[26:].split()[:2] for line in lines}
    assert shown["Max core file size"] == ["0", "0"]
    # The second is how far the host may raise the first when a disk grows. It itself can raise neither, which
    # tests/hostile_parser.py holds.
    assert shown["Max file size"] == [str(guest.instance.overlay.size), str(ranges.OVERLAY.most)]
    assert shown["Max processes"] == [str(500 + guest.instance.cpus)] * 2
    ours = Path(f"/proc/{supervisor(guest)}/limits").read_text().splitlines()
    assert next(line for line in ours if line.startswith("Max core file size")).split()[4:6] == ["0", "0"]


def _its_root_has_what_it_needs_and_no_more(guest: Guest) -> None:
    if jail.EMPTY_ROOT not in in_force_of_machine(
        ["/bin/true"], MachineBounds(limits={"core": 0}, user=None)
    ):
        return  # a container, perhaps, which may not mount
    root = Path(f"/proc/{pid_of(guest)}/root")
    seen = {path.name for path in root.iterdir()}
    assert "proc" in seen and seen <= {"dev", "etc", "lib", "lib64", "proc", "sys", "usr"}, seen
    names = {path.name for path in (root / "etc").iterdir()}
    assert names <= {"ld.so.cache", "ld.so.preload"}, names
    assert not (root / "dev" / "kvm").exists()


def _files_are_the_owners(state: Path) -> None:
    private = [path for path in state.rglob("*") if path.name in ("overlay.img", "supervisor", "state.db")]
    assert len(private) == 4
    for path in private:
        found = path.stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (0, 0o600), path


def _its_user_reaches_nothing(evil: Guest, calm: Guest, state: Path) -> None:
    files = [path for path in sorted(state.rglob("*")) if path.is_file() and "templates" not in path.parts]
    for name in ("overlay.img", "instance.json", "machine.json", "console.log", "state.db", "events.jsonl"):
        assert any(path.name == name for path in files), name
    sockets = [path for path in sorted(state.rglob("*")) if path.is_socket()]
    assert len(sockets) == 9
    processes = [pid_of(calm), supervisor(calm), os.getpid()]
    wanted: dict[str, list[Any]] = {"files": files, "sockets": sockets, "processes": processes}
    assert set(_tried(wanted, None).values()) <= {"done", "TimeoutError"}, "root may do it all"
    found = _tried(wanted, user(evil))
    assert set(found.values()) <= {"PermissionError"}, found


def _tried(wanted: dict[str, list[Any]], who: int | None) -> dict[str, str]:
    """What came of each try; `who` None tries as we are, only what harms nobody."""
    shown = {key: [v if isinstance(v, int) else str(v) for v in values] for key, values in wanted.items()}
    if who is None:
        shown["sockets"] = [path for path in shown["sockets"] if str(path).endswith("/supervisor")]
    with ExitStack() as stack:
        source = Path(stack.enter_context(tempfile.TemporaryDirectory()), "tries.py")
        source.parent.chmod(0o755)
        source.write_text(TRIES)
        done = subprocess.run(
            [_python(), "-I", "-S", source],
            input=json.dumps(shown).encode(),
            stdout=subprocess.PIPE,
            user=who,
            group=who,
            extra_groups=None if who is None else [],
            cwd="/",
            check=True,
        )
    found: dict[str, str] = json.loads(done.stdout)
    assert len(found) == sum(map(len, (shown["files"], shown["sockets"]))) + 3 * len(shown["processes"])
    return found


def _python() -> str:
    """One that everybody may run: a virtual environment may lie where only we get to."""
    return "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable


def test_a_descriptor_of_ours_is_not_inherited(two: list[Guest]) -> None:
    """Also not by a QEMU that starts while we listen, as a server that embeds us does."""
    evil, _ = two
    evil.host.power_off(evil.instance)
    with socket.create_server(("127.0.0.1", 0)) as ours:
        os.set_inheritable(ours.fileno(), True)
        inode = os.fstat(ours.fileno()).st_ino
        evil.start()
        assert f"socket:[{inode}]" not in _open_files(evil).values()
