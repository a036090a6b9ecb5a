"""Sample values of the model for all tests, and files that fit them: nothing here could boot."""

import hashlib
import os
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from os import fsync  # that of the system, whatever a test has in its place
from pathlib import Path
from typing import Any
from uuid import uuid4

from skinnybox.masters import imports
from skinnybox.model import (
    GUEST_PROTOCOL,
    Allocation,
    Image,
    ImageFormat,
    ImageKind,
    Instance,
    Layer,
    Master,
    Overlay,
    Seed,
    Stack,
)
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.sealed import sealed_once

CONTENT = b"m" * MIB
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
MASTER = "sha256:" + "1" * 64
_PLANTED = 800_000_000
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7VkkD2cBlTT1BzBlqF2nS5nC1m1lYr4hKJ0S9cVdkA me@example"


def an_image(content: bytes = CONTENT) -> Image:
    """The first image of a master, of these bytes."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return Image(kind=ImageKind.EROFS_PLAIN, file="root.erofs", digest=digest, size=len(content))


def a_master(**fields: Any) -> Master:
    """`tiny:1`, of which `a_sealed_folder` has the files; fields of Master may be given."""
    usual = Master(
        id=MASTER,
        name="tiny",
        version="1",
        images=(an_image(),),
        kernel=DIGEST,
        initrd=DIGEST,
        os="tiny",
        architecture="x86_64",
        kernel_version="6.1",
        tree_size=MIB,
        entries=1,
        guest_protocol=GUEST_PROTOCOL,
        created=datetime.now(UTC),
    )
    return replace(usual, **fields)


def a_layer(**fields: Any) -> Layer:
    """`site:1` for `a_master`; fields of Layer may be given."""
    usual = Layer(
        id="sha256:" + "1" * 64,
        name="site",
        version="1",
        images=(an_image(b"of a layer" * 1000),),
        master=MASTER,
        made_for="tiny:1",
        only=False,
        architecture="x86_64",
        kernel_version="6.1",
        tree_size=MIB,
        entries=1,
        created=datetime.now(UTC),
    )
    return replace(usual, **fields)


def an_instance(name: str = "web-01", **fields: Any) -> Instance:
    """A machine on `a_master`, with a UUID and a machine id of its own; fields of Instance may be given."""
    usual = Instance(
        uuid=uuid4(),
        name=name,
        stack=Stack(master=MASTER, reference="tiny:1", images=(DIGEST,)),
        overlay=Overlay(size=32 * MIB, allocation=Allocation.SPARSE),
        seed=Seed(hostname=name, machine_id=uuid4().hex),
        created=datetime.now(UTC),
    )
    return replace(usual, **fields)


def a_sealed_folder(
    folder: Path, *, kernel: bytes = CONTENT, initrd: bytes = CONTENT, image: bytes = CONTENT
) -> Path:
    """A master's folder, made anew."""
    folder.mkdir()
    for name, content in (("kernel", kernel), ("initrd", initrd), ("root.erofs", image)):
        (folder / name).write_bytes(content)
    return folder


def write_out(state: Path) -> None:
    """Have the overlays of a state folder on their disk: what they take there changes until they are."""
    for overlay in (state / "instances").glob("*/overlay.img"):
        with overlay.open("rb") as file:
            fsync(file.fileno())


def seal(
    state: Path,
    scratch: Path,
    name: str,
    version: str,
    *,
    dax: bool = False,
    protocol: int = GUEST_PROTOCOL,
    unrelated: bool = False,
    linux: str = "",
    image_format: ImageFormat = ImageFormat.AUTO,
) -> Master:
    """A real master of a few files, in a state folder; its kernel is of the version `linux`."""
    tree = scratch / f"tree-{name}-{version}"
    usual = not tree.exists()
    if usual:
        _plant(tree, name, version, protocol)
    kernel = f"vmlinuz-{linux}" if linux else "kernel"
    for file, text in ((kernel, b"kernel"), ("initrd", b"initrd")):
        (scratch / file).write_bytes(text)

    def made() -> Master:
        return imports.import_tree(
            tree, store=state / "masters", name=name, version=version, as_is=True,
            kernel=scratch / kernel, initrd=scratch / "initrd", allow_foreign=True, dax=dax,
            operation=Operation(), unrelated=unrelated, image_format=image_format,
        )  # fmt: skip

    if not usual:
        return made()
    return sealed_once(state / "masters", (name, version, dax, protocol, linux, image_format), made)


def _plant(tree: Path, name: str, version: str, protocol: int) -> None:
    """The same each time, to the second, and of no other name: so the content of what is sealed of it is."""
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "os-release").write_text(f'PRETTY_NAME="Tiny {version}"\n')
    (tree / "etc" / "motd").write_text("hello\n")
    (tree / "usr/lib/skinnybox").mkdir(parents=True)
    (tree / "usr/lib/skinnybox/protocol").write_text(f"{protocol}\n")
    planted = _PLANTED + zlib.crc32(name.encode()) % _PLANTED
    for path in (tree, *tree.rglob("*")):
        os.utime(path, (planted, planted))


def nested(tree: Path, name: str, levels: int) -> None:
    """Folders of `name` in each other; their path may be longer than one that the kernel takes."""
    here = os.open(tree, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def luks2_header(label: bytes, owner: str) -> bytes:
    """As an encrypted overlay begins."""
    named = b"LUKS\xba\xbe\0\2" + bytes(16) + label.ljust(48, b"\0")
    return named + bytes(96) + owner.encode().ljust(40, b"\0")
