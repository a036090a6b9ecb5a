"""For all tests: a guest of a few megabytes, a bridge, and a state folder in which nothing is young.

The guest is Debian's kernel, a static busybox and one init script. It boots in seconds without acceleration,
speaks on the console, the report port and the network, and does what its console is told; so hosts are tested
without building a master.
"""

import fcntl
import lzma
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from skinnybox import run
from skinnybox.errors import CommandFailed, TimedOut
from skinnybox.hosts.local import leftovers
from skinnybox.hosts.qemu import bridge
from tests.closed import closed
from tests.limits import pytest_configure
from tests.pace import (  # hooks for every test
    pytest_collection_modifyitems,
    pytest_runtest_logreport,
    pytest_runtest_protocol,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
    pytest_xdist_make_scheduler,
)
from tests.samples import a_sealed_folder
from tests.sparing import sparing

__all__ = [
    "closed",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_runtest_logreport",
    "pytest_runtest_protocol",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
    "pytest_testnodedown",
    "pytest_xdist_make_scheduler",
    "sparing",
]

_TOO_LONG_TO_READ = 1024

# A machine that pauses for a second fails no test, and what failed once fails again.
settings.register_profile(
    "ours", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ours")

CACHE = Path(__file__).parents[1] / ".cache" / "test-kernel"

MODULES = """
virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_console virtio_blk failover
net_failover virtio_net virtio-rng pvpanic pvpanic-mmio button evdev af_packet
"""

INIT = b"""#!/bin/sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
read -r release < /proc/sys/kernel/osrelease
for m in @MODULES@; do [ ! -f /lib/$m.ko ] || insmod /lib/$m.ko 2>/dev/null; done
word() { for w in $(cat /proc/cmdline); do case $w in "$1="*) echo "${w#*=}";; esac; done; }
port() { for p in /sys/class/virtio-ports/*; do
    [ "$(cat "$p/name")" = skinnybox.report ] && echo "/dev/${p##*/}"; done; }
disk() { for d in /sys/block/vd*; do [ "$(cat "$d/serial")" = "$1" ] && echo "/dev/${d##*/}"; done; }
report() { # STATE [LINE...]
    { echo skinnybox-report 1; echo "state $1"; shift; echo "nonce $(word skinnybox.nonce)"
      echo "instance $(word skinnybox.instance)"; for l; do echo "$l"; done
      echo "kernel $release"; echo end; } > "$(port)"; }
online() { # ADDRESS/PREFIX GATEWAY
    ip link set eth0 up; ip addr add "$1" dev eth0; ip route add default via "$2"; }
# The power button is one of these; any event ends the machine.
for e in /dev/input/event*; do
    (dd if="$e" of=/dev/null bs=24 count=1 2>/dev/null && poweroff -f) &
done
sleep 0.3
report ready "uptime $(cut -d' ' -f1 /proc/uptime)" "overlay 1048576 524288" \\
    "address eth0 10.0.2.15/24"
exec < /dev/console > /dev/console 2>&1
echo "tiny guest ready"
while :; do read -r line || sleep 1; eval "$line"; done
"""


def _entry(name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> bytes:
    """One record of a cpio archive, `newc` format (kernel: Documentation/driver-api/early-userspace)."""
    words = (0, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08x" % word for word in words) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def initrd(modules: Path, busybox: Path, init: bytes = INIT) -> bytes:
    """An uncompressed initrd. `modules` is a tree that holds the kernel's modules at any depth."""
    found = {path.name.split(".")[0]: path for path in modules.rglob("*.ko*")}
    out = [_entry(name, stat.S_IFDIR | 0o755) for name in ("bin", "lib", "dev", "proc", "sys")]
    out.append(_entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
    out.append(_entry("bin/busybox", stat.S_IFREG | 0o755, busybox.read_bytes()))
    out.append(_entry("bin/sh", stat.S_IFLNK | 0o777, b"busybox"))
    for name in (name for name in MODULES.split() if name in found):
        out.append(_entry(f"lib/{name}.ko", stat.S_IFREG | 0o644, _module(found[name])))
    text = init.replace(b"@MODULES@", " ".join(MODULES.split()).encode())
    out.append(_entry("init", stat.S_IFREG | 0o755, text))
    out.append(_entry("TRAILER!!!", 0))
    return b"".join(out)


def _module(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def _kernel_tree(cache: Path) -> Path | None:
    """A folder with `boot/vmlinuz-*` and `lib/modules`, from Debian's cloud kernel package; None when it is
    neither in `cache` nor to be had. Needs no root."""
    tree = cache / "tree"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock, tempfile.TemporaryDirectory(dir=cache) as scratch:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several workers may want it at once
        if not any(tree.glob("boot/vmlinuz-*")):
            package = _download(Path(scratch))
            if package is None:
                return None
            run.run(["dpkg-deb", "-x", package, f"{scratch}/tree"])
            Path(scratch, "tree").rename(tree)
    if not (tree / "lib").exists():  # since Debian 13 the package itself is merged
        (tree / "lib").symlink_to("usr/lib")
    return tree


def _download(folder: Path) -> Path | None:
    try:
        shown = run.run(["apt-cache", "depends", "--important", "linux-image-cloud-amd64"]).stdout.decode()
        names = [line.split()[-1] for line in shown.splitlines() if "linux-image-" in line.strip()[8:]]
        run.run(["apt-get", "download", names[0]], cwd=folder, timeout=300, keep=run.FETCHING)
    except (CommandFailed, TimedOut, IndexError):
        return None
    return next(folder.glob("*.deb"), None)


def tiny_parts() -> tuple[Path, Path] | None:
    """Kernel and initrd of the tiny guest, for as long as the tests run; None when they cannot be made."""
    tree, busybox = _kernel_tree(CACHE), run.find("busybox")
    if tree is None or busybox is None or b"/ld-linux" in busybox.read_bytes()[:4096]:
        return None
    made = CACHE / "initrd"
    fresh = CACHE / f"initrd.{os.getpid()}"
    fresh.write_bytes(initrd(tree / "lib/modules", busybox))
    fresh.rename(made)
    return next(tree.glob("boot/vmlinuz-*")), made


@pytest.fixture(scope="session")
def test_kernel() -> Path:
    """A folder with `boot/vmlinuz-*` and `lib/modules`: Debian's cloud kernel, fetched once."""
    tree = _kernel_tree(CACHE)
    if tree is None:
        pytest.skip("Debian's kernel package is not in .cache/test-kernel and cannot be fetched by apt-get")
    return tree


@pytest.fixture(scope="session")
def tiny_guest(test_kernel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a master whose kernel and initrd boot; its image is as that of `a_master`."""
    parts = tiny_parts()
    if parts is None:
        pytest.skip("no static busybox (Debian: busybox-static)")
    kernel, start = parts
    folder = a_sealed_folder(
        tmp_path_factory.mktemp("tiny") / "sealed", kernel=kernel.read_bytes(), initrd=start.read_bytes()
    )
    for path in folder.iterdir():
        path.chmod(0o444)
    return folder


BRIDGE_ADDRESS = "198.18.77.1"
"""Of the range kept for benchmarks of networks (RFC 2544): nobody routes it."""


@pytest.fixture
def bridge_name() -> Iterator[str]:
    """A bridge of our own, with an address of this host on it."""
    if not bridge.may() or run.find("ip") is None:
        pytest.skip("no right to make a bridge here, or no `ip`")
    name = f"skt{os.getpid()}"
    try:
        run.run(["ip", "link", "add", name, "type", "bridge"])
    except CommandFailed as error:
        pytest.skip(f"no bridge can be made here: {error.message}")
    try:
        run.run(["ip", "address", "add", f"{BRIDGE_ADDRESS}/24", "dev", name])
        run.run(["ip", "link", "set", name, "up"])
        yield name
    finally:
        run.run(["ip", "link", "delete", name])


@pytest.fixture
def for_everyone() -> None:
    """For what another user runs of ours: not where our source lies in a folder that is closed to others."""
    source = leftovers.__file__
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "test", "-r", source]
    if run.run(words, ok=range(256)).returncode:
        pytest.skip(f"an ordinary user cannot read {source}")


@pytest.fixture
def nothing_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is so new that it may be in the making."""
    monkeypatch.setattr(leftovers, "_YOUNG", 0.0)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Of two images that should be equal, where they differ: their bytes bury the name of the test."""
    if not (isinstance(left, bytes) and isinstance(right, bytes) and op == "=="):
        return None
    if max(len(left), len(right)) <= _TOO_LONG_TO_READ:
        return None
    pairs = enumerate(zip(left, right, strict=False))
    first = next((at for at, (one, other) in pairs if one != other), min(len(left), len(right)))
    return [
        f"{len(left)} bytes == {len(right)} bytes",
        f"the first that differs is {first}: {left[first : first + 16]!r} and {right[first : first + 16]!r}",
    ]
