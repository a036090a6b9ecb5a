"""The guest part (guest/): where it lies, and whether a tree has it."""

from importlib import resources
from pathlib import Path

from skinnybox.errors import NotFound
from skinnybox.masters import inside

PROTOCOL = "usr/lib/skinnybox/protocol"
PACKAGE = "skinnybox-guest"
"""Its Debian package (script/guest-package)."""


def guest_folder() -> Path:
    """Its folder: in an installed package skinnybox/guest, in a checkout guest/. NotFound."""
    package = Path(str(resources.files("skinnybox")))
    for folder in (package / "guest", package.parent.parent / "guest"):
        if (folder / "protocol").is_file():
            return folder
    raise NotFound("the guest part is not there", hint="install skinnybox again: its package carries it")


def has_guest_part(tree: Path) -> bool:
    """Whether a guest part was installed there, of whatever version."""
    return inside.read(tree, PROTOCOL, 1) is not None


def protocol_version(tree: Path) -> int | None:
    """The protocol (model.GUEST_PROTOCOL) its guest part speaks; None when it has none, or nonsense."""
    text = (inside.read(tree, PROTOCOL, 16) or b"").strip()
    return int(text) if text.isdigit() else None
