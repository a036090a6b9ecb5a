"""Swap, as people write it: SIZE of a file on the overlay's disk, or zram[:SIZE] of compressed memory."""

from skinnybox.errors import UsageError
from skinnybox.model.machines import Overlay, Swap, SwapKind
from skinnybox.model.ranges import SWAP
from skinnybox.sizes import MIB, format_size, parse_size

ZRAM = str(SwapKind.ZRAM)
_LEFT = 4
"""A file takes no more of an overlay than leaves a fourth to the machine, and its least size."""
_LEAST_LEFT = 32 * MIB


def parse_swap(text: str) -> Swap:
    """Sizes are rounded up to whole MiB. Raises UsageError."""
    kind, colon, size = text.strip().partition(":")
    if kind != ZRAM:
        return Swap(size=_size(text))
    if not colon:
        return Swap(kind=SwapKind.ZRAM)
    return Swap(kind=SwapKind.ZRAM, size=_size(size))


def _size(text: str) -> int:
    try:
        return -(-SWAP.check(parse_size(text)) // MIB) * MIB
    except UsageError as error:
        hint = "512M for a file on the overlay's disk, zram or zram:512M for compressed memory"
        raise UsageError(error.message, hint=hint) from error


def check_swap(swap: Swap | None, overlay: Overlay) -> None:
    """UsageError for a file that leaves too little of the overlay."""
    if swap is None or swap.kind is not SwapKind.FILE or swap.size is None:
        return
    left = overlay.size - swap.size
    needed = max(overlay.size // _LEFT, _LEAST_LEFT)
    if left < needed:
        most = max(0, overlay.size - needed) // MIB * MIB
        raise UsageError(
            f"a swap file of {format_size(swap.size)} does not fit an overlay of {format_size(overlay.size)}",
            hint=f"at most {format_size(most)} of it; a larger overlay, or zram, which takes none",
        )
