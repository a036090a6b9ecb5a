"""A template cut into runs, and a copy's own filled in."""

import pytest

from skinnybox.overlays.runs import Blank, cut, filled

PIECES = ((100, b"aaaaaaaaaa"), (200, b"bbbbbbbbbb"))
OWN = {"x": b"12", "y": b"345", "end": b"6"}


@pytest.mark.parametrize(
    ("blanks", "written"),
    [
        ([], list(PIECES)),
        ([(100, 2, "x"), (108, 2, "x"), (204, 3, "y")], [(100, b"12aaaaaa12"), (200, b"bbbb345bbb")]),
        ([(50, 2, "x"), (150, 3, "y"), (500, 2, "x")],
         [(50, b"12"), PIECES[0], (150, b"345"), PIECES[1], (500, b"12")]),
        ([(98, 2, "x"), (110, 3, "y")], [(98, b"12aaaaaaaaaa345"), PIECES[1]]),
        ([(110, 40, "end"), (150, 2, "x")], [(100, b"aaaaaaaaaa6"), (150, b"12"), PIECES[1]]),
        ([(100, 2, "x"), (102, 3, "y"), (105, 5, "end")], [(100, b"123456"), PIECES[1]]),
    ],
)  # fmt: skip
def test_what_is_filled_in_stands_where_it_belongs(
    blanks: list[Blank], written: list[tuple[int, bytes]]
) -> None:
    runs = cut(PIECES, blanks, last=("end",))
    assert [(offset, filled(parts, OWN)) for offset, parts in runs] == written
