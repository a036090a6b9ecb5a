"""Pieces of a template with patches in them."""

import pytest

from skinnybox.overlays.make import _patched

PIECES = ((100, b"aaaaaaaaaa"), (200, b"bbbbbbbbbb"))


@pytest.mark.parametrize(
    ("patches", "written"),
    [
        ([], list(PIECES)),
        ([(100, b"12"), (108, b"34"), (204, b"5")], [(100, b"12aaaaaa34"), (200, b"bbbb5bbbbb")]),
        ([(0, b"first"), (150, b"between"), (500, b"last")],
         [*PIECES, (0, b"first"), (150, b"between"), (500, b"last")]),
        ([(95, b"over the edge")], [*PIECES, (95, b"over the edge")]),
        ([(105, b"over it")], [*PIECES, (105, b"over it")]),
        ([(209, b"")], list(PIECES)),
    ],
)  # fmt: skip
def test_each_patch_is_in_what_is_written(
    patches: list[tuple[int, bytes]], written: list[tuple[int, bytes]]
) -> None:
    assert [(offset, bytes(data)) for offset, data in _patched(PIECES, patches)] == written
    assert PIECES == ((100, b"aaaaaaaaaa"), (200, b"bbbbbbbbbb"))  # shared by all overlays
