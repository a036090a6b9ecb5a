"""An encrypted overlay, as people say it: the file its key is in, or random."""

from pathlib import PurePath

from skinnybox.errors import UsageError
from skinnybox.model.machines import DataDisk, Encryption, Overlay
from skinnybox.sizes import MIB, format_size

RANDOM = "random"
_LEAST = 64 * MIB
_HINT = (
    "/etc/keys/web-01.key, which holds 32 random bytes or more; or random, for a machine that keeps nothing"
)


def parse_encryption(text: str) -> Encryption:
    """UsageError for what is neither."""
    if text == RANDOM:
        return Encryption()
    if not text.startswith("/") or "\0" in text or not text.isprintable() or ".." in PurePath(text).parts:
        raise UsageError(f"{text!r:.80} is no path of a key, from / on", hint=_HINT)
    return Encryption(key_file=text)


def check_encryption(what: Encryption | None, overlay: Overlay, data: DataDisk | None) -> None:
    """UsageError for what would not be encrypted, or is too small to be."""
    if what is None:
        return
    if data is not None:
        raise UsageError(
            "a data disk is not encrypted, and this machine's overlay is to be",
            hint="leave the data disk out: what outlives its system would lie beside it for all to read",
        )
    if overlay.size < _LEAST:
        raise UsageError(
            f"an overlay of {format_size(overlay.size)} is too small to be encrypted",
            hint=f"{format_size(_LEAST)} or more",
        )
