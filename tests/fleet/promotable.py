"""Machines that can be made masters: of a small Debian that could be fitted, with what its guest wrote."""

import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

from skinnybox.ext4 import open_volume
from skinnybox.masters.imports import import_tree
from skinnybox.model import Master
from skinnybox.operation import Operation
from skinnybox.overlays import edit
from skinnybox.overlays.edits import Edit
from tests.image import debianlike as debian
from tests.image.disks import SYSTEM
from tests.unit.rebased import Thing, whole
from tests.unit.rebased_disk import creations

OLD = 1_500_000_000


def a_tree(root: Path) -> Path:
    debian.tree(root)
    for path, text in {
        **SYSTEM,
        "usr/lib/systemd/systemd": "init",
        "etc/hosts": "127.0.0.1 localhost\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if path != "etc/os-release":
            (root / path).write_text(text)
    (root / "usr/lib/systemd/systemd").chmod(0o755)
    (root / "etc/shadow").write_text("root:*:19000:0:99999:7:::\nsshd:!:19000::::::\n")
    debian.install(root, "web", "1", {"/usr/bin/web": "1"}, conffiles={"/etc/web.conf": "Port 80\n"})
    debian.account(root, "sshd", 101)
    return root


def a_master(state: Path, scratch: Path) -> Master:
    """lamp:1, made as an import makes one."""
    tree = a_tree(scratch / "tree-lamp")
    return import_tree(
        tree, store=state / "masters", name="lamp", version="1", as_is=False, kernel=None, initrd=None,
        operation=Operation(),
    )  # fmt: skip


def wrote(overlay: Path, upper: Mapping[str, Thing]) -> None:
    """As the guest would, to an overlay that has nothing there yet."""
    with contextlib.ExitStack() as held:
        contents = held.enter_context(tempfile.TemporaryFile())
        with open_volume(overlay) as volume:
            top = volume.lookup(b"upper").inode
        put: list[Edit] = list(creations(whole(upper), top, b"upper", contents))
        contents.flush()
        edit.edited(overlay, put, contents.fileno(), Operation())
    edit.settled(overlay)
