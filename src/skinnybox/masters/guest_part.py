"""The guest part (guest/): where it lies, whether a tree has it, and how it gets in."""

from collections.abc import Callable
from importlib import resources
from pathlib import Path

from skinnybox import run
from skinnybox.errors import NotFound
from skinnybox.masters import inside

_PROTOCOL = "usr/lib/skinnybox/protocol"


def guest_folder() -> Path:
    """The folder with install.sh: in an installed package skinnybox/guest, in a checkout guest/. NotFound."""
    package = Path(str(resources.files("skinnybox")))
    for folder in (package / "guest", package.parent.parent / "guest"):
        if (folder / "install.sh").is_file():
            return folder
    raise NotFound("the guest part is not there", hint="install skinnybox again: its package carries it")


def has_guest_part(tree: Path) -> bool:
    """Whether a guest part was installed there, of whatever version."""
    return inside.read(tree, _PROTOCOL, 1) is not None


def protocol_version(tree: Path) -> int | None:
    """The protocol (model.GUEST_PROTOCOL) its guest part speaks; None when it has none, or nonsense."""
    text = (inside.read(tree, _PROTOCOL, 16) or b"").strip()
    return int(text) if text.isdigit() else None


def install(tree: Path, output: Callable[[str], None]) -> None:
    """Put the guest part into an extracted tree and make its initramfs anew where that is older. Idempotent.

    Runs the tree's programs as root, chrooted, in namespaces of their own; its symlinks lead nowhere else.
    `output` gets every line they print. Raises CommandFailed.
    """
    script = guest_folder() / "install-into.sh"
    run.run(run.tied(["sh", script, tree]), output=output)
