"""A tree below a real overlayfs mount, on a disk as Skinnybox makes it, and what is told of it."""

import os
from pathlib import Path
from typing import Any

from skinnybox import run
from skinnybox.delta.listing import listed
from skinnybox.masters.index import scan, write_index
from skinnybox.model import Allocation, Change
from skinnybox.operation import Operation
from skinnybox.overlays.make import make
from skinnybox.overlays.template import template
from skinnybox.sizes import MIB

OPTIONS = "redirect_dir=nofollow,index=off,metacopy=off,xino=off"
# $1 image, $2 mount point, $3 lower, $4 a folder for the merged view, $5 what to do there
GUEST = f"""
mount -o loop "$1" "$2"
mount -t overlay -o "lowerdir=$3,upperdir=$2/upper,workdir=$2/work,{OPTIONS}" overlay "$4"
upper=$2/upper
cd "$4"
"$SHELL_OF_TEST" "$5" "$6" "$upper"
cd /
umount "$4"
umount "$2"
"""


class Machine:
    """A tree as lower, a fresh overlay, and a way to act as the guest would."""

    def __init__(self, folder: Path, cache: Path, base: bytes = b"b\n") -> None:
        self.folder, self.image, self.lower = folder, folder / "overlay.img", folder / "lower"
        form = template(cache, 64 * MIB)
        make(form, self.image, base=base, seed=b"s\n", allocation=Allocation.SPARSE)
        for name in ("lower", "mount", "merged"):
            (folder / name).mkdir()

    def act(self, program: str, flag: str, script: str) -> bytes:
        paths = (self.image, self.folder / "mount", self.lower, self.folder / "merged")
        words = ["sh", *map(str, paths), flag, script]
        return run.run(["unshare", "-m", "sh", "-ec", GUEST, *words], env={"SHELL_OF_TEST": program}).stdout

    def sh(self, script: str) -> None:
        self.act("/bin/sh", "-euc", script)

    def changes(self, **options: Any) -> list[Change]:
        index = self.folder / "index.jsonl.gz"
        write_index(scan(self.lower, Operation()), index)
        with listed(self.image, index, **options) as found:
            return list(found)

    def told(self, **options: Any) -> list[str]:
        """KIND TYPE PATH (DETAIL)"""
        return list(map(line, self.changes(**options)))


def line(change: Change) -> str:
    return f"{change.kind} {change.type} {os.fsdecode(change.path)}" + (
        f" ({change.detail})" if change.detail else ""
    )
