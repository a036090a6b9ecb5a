"""Swap as people write it, and what fits an overlay."""

import pytest

from skinnybox.errors import UsageError
from skinnybox.model import Overlay, Swap, SwapKind
from skinnybox.model.kinds import SWAP
from skinnybox.model.swap import check_swap, parse_swap
from skinnybox.sizes import GIB, MIB


@pytest.mark.parametrize(
    ("text", "swap"),
    [
        ("512M", Swap(size=512 * MIB)),
        ("1.5G", Swap(size=1536 * MIB)),
        ("1048577", Swap(size=2 * MIB)),
        ("zram", Swap(kind=SwapKind.ZRAM)),
        ("zram:256M", Swap(kind=SwapKind.ZRAM, size=256 * MIB)),
    ],
)
def test_what_is_written(text: str, swap: Swap) -> None:
    assert parse_swap(text) == swap
    assert parse_swap(str(swap)) == swap
    assert SWAP.plain and SWAP.read(SWAP.plain(swap)) == swap


@pytest.mark.parametrize("text", ["", "zram:", "zram:0", "disk", "1K", "zramm", "2000T", "-1G", "none"])
def test_what_is_no_swap(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_swap(text)
    assert refused.value.hint


@pytest.mark.parametrize(("overlay", "most"), [(GIB, 768 * MIB), (64 * MIB, 32 * MIB), (100 * MIB, 68 * MIB)])
def test_a_file_leaves_the_machine_a_fourth_and_what_an_overlay_needs(overlay: int, most: int) -> None:
    check_swap(Swap(size=most), Overlay(size=overlay))
    with pytest.raises(UsageError, match="does not fit") as refused:
        check_swap(Swap(size=most + MIB), Overlay(size=overlay))
    assert refused.value.hint and refused.value.hint.startswith("at most ")
    check_swap(Swap(kind=SwapKind.ZRAM, size=8 * GIB), Overlay(size=overlay))
    check_swap(None, Overlay(size=overlay))


def test_a_file_without_a_size_is_none() -> None:
    with pytest.raises(ValueError, match="size"):
        Swap()
    with pytest.raises(ValueError, match="size"):
        SWAP.read({"kind": "file", "size": None})
