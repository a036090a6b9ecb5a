"""Three-way merge of text: against a table, and against what a merge has to be for any three texts."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinnybox.delta.rebase.text_merge import LARGEST, Budget, hunks, merged

BASE = b"Port 22\nPermitRootLogin no\nX11Forwarding no\nSubsystem sftp\nUsePAM yes\n"


@pytest.mark.parametrize(
    ("mine", "theirs", "wanted"),
    [
        (BASE, BASE, BASE),
        (BASE.replace(b"22", b"2222"), BASE, BASE.replace(b"22", b"2222")),
        (BASE, BASE.replace(b"22", b"2222"), BASE.replace(b"22", b"2222")),
        (b"# mine\n" + BASE, BASE + b"# theirs\n", b"# mine\n" + BASE + b"# theirs\n"),
        (BASE + b"a\n", BASE + b"a\n", BASE + b"a\n"),
        (BASE.replace(b"UsePAM yes\n", b""), BASE.replace(b"22", b"23"), b"Port 23\n" + BASE[8:-11]),
        # Both put a line in at one place; both change one line; one changes what the other takes away.
        (BASE + b"a\n", BASE + b"b\n", None),
        (BASE.replace(b"22", b"1"), BASE.replace(b"22", b"2"), None),
        (BASE.replace(b"Port 22\n", b""), BASE.replace(b"22", b"2"), None),
        # Next to each other: nobody has seen these two lines together.
        (BASE.replace(b"22", b"1"), BASE.replace(b"Login no", b"Login yes"), None),
        (b"", b"", b""),
        (BASE, BASE + b"\0", None),
        (BASE, BASE + b"\xff\n", None),
    ],
)
def test_a_table(mine: bytes, theirs: bytes, wanted: bytes | None) -> None:
    assert merged(BASE, mine, theirs, Budget()) == wanted
    assert merged(BASE, theirs, mine, Budget()) == wanted


def test_a_last_line_without_an_end_gets_no_other_behind_it() -> None:
    assert merged(b"a\nb\nc", b"x\nb\nc", b"a\nb\nc\nd", Budget()) == b"x\nb\nc\nd"
    assert merged(b"a\nb\nc", b"x\nb\nc", b"a\nb\nc", Budget()) == b"x\nb\nc"


LINES = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"\n"]), max_size=12)


@given(LINES, LINES)
def test_hunks_make_the_other_text_and_are_the_fewest(base: list[bytes], other: list[bytes]) -> None:
    found = hunks(base, other, Budget())
    out, at = [], 0
    for hunk in found:
        assert at <= hunk.start <= hunk.end
        out += [*base[at : hunk.start], *hunk.lines]
        at = hunk.end
    assert [*out, *base[at:]] == other
    edits = sum(hunk.end - hunk.start + len(hunk.lines) for hunk in found)
    assert edits == len(base) + len(other) - 2 * _longest_common(base, other)


def _longest_common(a: list[bytes], b: list[bytes]) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        before = row
        row = [0]
        for i, y in enumerate(b):
            row.append(before[i] + 1 if x == y else max(row[-1], before[i + 1]))
    return row[-1]


@given(LINES, LINES, LINES)
def test_what_any_merge_has_to_be(base: list[bytes], mine: list[bytes], theirs: list[bytes]) -> None:
    o, a, b = (b"".join(lines) for lines in (base, mine, theirs))
    assert merged(o, a, o, Budget()) == a
    assert merged(o, o, b, Budget()) == b
    assert merged(o, a, a, Budget()) == a
    found = merged(o, a, b, Budget())
    assert found == merged(o, b, a, Budget())
    if found is not None:
        assert set(found.splitlines()) <= {*a.splitlines(), *b.splitlines()}


@given(st.lists(st.integers(0, 999), unique=True, min_size=5, max_size=40), st.data())
def test_changes_that_are_apart_are_all_there(numbers: list[int], data: st.DataObject) -> None:
    base = [b"%d\n" % number for number in numbers]
    place = data.draw(st.integers(2, len(base) - 3))
    mine = [b"mine\n", *base[1:]]
    theirs = [*base[:place], b"theirs\n", *base[place + 1 :]]
    wanted = [b"mine\n", *base[1:place], b"theirs\n", *base[place + 1 :]]
    assert merged(b"".join(base), b"".join(mine), b"".join(theirs), Budget()) == b"".join(wanted)


def test_texts_made_to_take_for_ever_are_no_merge() -> None:
    begun = time.process_time()
    same, other = b"a\nb\n" * 9000, b"b\na\na\n" * 6000
    assert merged(same, other, same + b"c\n", Budget()) is None
    budget = Budget()
    for _ in range(50):
        assert merged(b"a\n" * 9000, b"a\nc\n" * 9000, b"a\n" * 8999 + b"d\n", budget) is None
    assert merged(BASE, BASE + b"a\n", BASE, Budget(3)) is None
    assert merged(b"x" * LARGEST + b"\n", b"x", b"y", Budget()) is None
    assert time.process_time() - begun < 60
