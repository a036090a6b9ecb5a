"""Xen and the kernel of its first domain, from Debian's packages: unpacked into a folder, not installed."""

import lzma
import re
import struct
import tempfile
from pathlib import Path

from skinnybox import run
from skinnybox.errors import CommandFailed, TimedOut

CACHE = Path(__file__).parents[2] / ".cache" / "xen-tier"
_WANTED = re.compile(r"(?:xen-hypervisor-[0-9.]+-amd64|xen-utils-[0-9.]+|xenstore-utils|libxen.*|libyajl.*)")
_KERNEL = re.compile(r"linux-image-[0-9].*-amd64")
_SECONDS = 600.0


def unpacked(cache: Path = CACHE) -> Path | None:
    """A folder with the packages' files, fetched once (about 75 MB); None when they cannot be had. Needs no
    root."""
    tree = cache / "tree"
    if not tree.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            if not _unpack(Path(scratch)):
                return None
            Path(scratch, "tree").rename(tree)
    return tree


def _unpack(folder: Path) -> bool:
    try:
        names = _depends("xen-system-amd64", _WANTED, "--recurse") + _depends("linux-image-amd64", _KERNEL)
        run.run(["apt-get", "download", *names], cwd=folder, timeout=_SECONDS, keep=run.FETCHING)
        for package in folder.glob("*.deb"):
            run.run(["dpkg-deb", "-x", package, folder / "tree"])
    except (CommandFailed, TimedOut):
        return False
    return all(any(folder.glob(f"tree/boot/{name}")) for name in ("xen-*-amd64.gz", "vmlinuz-*"))


def _depends(package: str, wanted: re.Pattern[str], *how: str) -> list[str]:
    shown = run.run(["apt-cache", "depends", "--important", *how, package]).stdout.decode()
    return sorted({word for word in shown.split() if wanted.fullmatch(word)})


def libraries(tree: Path, programs: list[Path]) -> dict[str, Path]:
    """By the names that programs ask for, of the packages or else of this machine; the loader is among them.
    CommandFailed, with the name, when one is nowhere."""
    found: dict[str, Path] = {}
    where = {"LD_LIBRARY_PATH": str(tree / "usr/lib/x86_64-linux-gnu")}
    for program in programs:
        for line in run.run(["ldd", program], env=where).stdout.decode().splitlines():
            name, _, path = line.strip().partition(" => ")
            if path.startswith("not found"):
                raise CommandFailed(f"{program.name} needs {name}, which is nowhere", returncode=1, stderr="")
            path = (path or name).split(" ")[0]
            if path.startswith("/"):
                found[Path(name.split(" ")[0]).name] = Path(path)
    # The C library loads it by itself, when a thread is cancelled.
    found["libgcc_s.so.1"] = found["libc.so.6"].with_name("libgcc_s.so.1")
    return found


def plain_kernel(image: bytes) -> bytes:
    """The ELF file inside a bzImage packed with xz (kernel: Documentation/x86/boot, payload_offset)."""
    sectors, offset, length = image[0x1F1], *struct.unpack_from("<II", image, 0x248)
    start = (sectors + 1) * 512 + offset
    return lzma.LZMADecompressor().decompress(image[start : start + length])
