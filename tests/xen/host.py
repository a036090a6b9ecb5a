"""A machine with a real Xen: emulated, with a first domain of a few programs and no distribution."""

import gzip
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from skinnybox import run
from tests.conftest import _entry
from tests.xen.packages import libraries, plain_kernel

MODULES = """
virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk
xen-privcmd xenfs xen-evtchn xen-gntdev xen-gntalloc xen-blkback xen-netback
"""
PROGRAMS = ("xl", "xenstored", "xenconsoled", "xen-init-dom0")
STORE_PROGRAMS = ("read", "write", "list", "exists")
HOTPLUG = ("block", "vif-bridge")
MOST_SECONDS = 800.0

_XEN = "dom0_mem=384M,max:384M dom0_max_vcpus=1 console=com1 noreboot spec-ctrl=no xpti=no"
# Without random addresses of programs, their translated code is found again: a third of the time.
_DOM0 = "console=hvc0 quiet loglevel=3 panic=-1 mitigations=off norandmaps"
_CONSOLE, _GUESTS = "console", "guests"


def first_domain(tree: Path, busybox: Path, files: Mapping[str, bytes]) -> bytes:
    """Its initrd, with more `files` in it, in folders of their own."""
    more = {f"etc/xen/scripts/{name}": _script("hotplug.sh") for name in HOTPLUG} | dict(files)
    more["lib/modules"] = "".join(f"{name}\n" for name in MODULES.split()).encode()
    more["init"] = _script("dom0.sh")
    folders = {"bin", "lib64", "dev", "proc", "sys", "run", "var"}
    folders |= {str(parent) for name in more for parent in Path(name).parents} - {"."}
    out = [_folder(name) for name in sorted(folders)]
    out.append(_entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)))
    out.append(_file("bin/busybox", busybox.read_bytes()))
    out.append(_entry("bin/sh", stat.S_IFLNK | 0o777, b"busybox"))
    out.extend(_programs(tree))
    for name in MODULES.split():
        out.append(_file(f"lib/{name}.ko", next(tree.rglob(f"{name}.ko")).read_bytes()))
    out.extend(_file(name, data) for name, data in more.items())
    return b"".join([*out, _entry("TRAILER!!!", 0)])


def _script(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()


def _folder(name: str) -> bytes:
    return _entry(name, stat.S_IFDIR | 0o755)


def _file(name: str, data: bytes) -> bytes:
    return _entry(name, stat.S_IFREG | 0o755, data)


def _programs(tree: Path) -> Iterator[bytes]:
    folder = next(tree.glob("usr/lib/xen-*/bin"))
    programs = [*(folder / name for name in PROGRAMS), tree / "usr/bin/xenstore"]
    for program in programs:
        yield _file(f"bin/{program.name}", program.read_bytes())
    for name in STORE_PROGRAMS:
        yield _entry(f"bin/xenstore-{name}", stat.S_IFLNK | 0o777, b"xenstore")
    for name, library in libraries(tree, programs).items():
        yield _file(f"{'lib64' if name.startswith('ld-') else 'lib'}/{name}", library.read_bytes())


def run_to_the_end(folder: Path, tree: Path, initrd: bytes, master: Path, disks: Sequence[Path]) -> str:
    """What it said on its console. `master` is /dev/vda there, read-only; `disks` are /dev/vdb and on."""
    xen, kernel = folder / "xen", folder / "kernel"
    xen.write_bytes(gzip.decompress(next(tree.glob("boot/xen-*-amd64.gz")).read_bytes()))
    kernel.write_bytes(plain_kernel(next(tree.glob("boot/vmlinuz-*")).read_bytes()))
    (folder / "initrd").write_bytes(initrd)
    # Several modules of a multiboot kernel are separated by commas.
    words = _machine(folder)
    words += ["-kernel", str(xen), "-append", _XEN, "-initrd", f"{kernel} {_DOM0},{folder / 'initrd'}"]
    words += ["-drive", f"file={master},if=virtio,format=raw,readonly=on"]
    for disk in disks:
        words += ["-drive", f"file={disk},if=virtio,format=raw,cache=unsafe"]
    started = time.monotonic()
    try:
        run.run(words, timeout=MOST_SECONDS)
    finally:
        print(f"Xen ran for {time.monotonic() - started:.0f} s")
        for name in (_CONSOLE, _GUESTS):
            print(f"{name}:\n{_text(folder / name)[-20000:]}")
    return _text(folder / _CONSOLE)


def _machine(folder: Path) -> list[str]:
    words = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    # Guests ask the processor for random numbers, or wait long for others.
    words += ["-machine", "pc", "-cpu", "kvm64,+rdrand", "-smp", "2", "-m", "1536"]
    words += ["-accel", "tcg,thread=multi,tb-size=1024"]
    for name in (_CONSOLE, _GUESTS):
        words += ["-serial", f"file:{folder / name}"]
    return words


def _text(file: Path) -> str:
    return file.read_text("utf-8", "replace") if file.exists() else ""
