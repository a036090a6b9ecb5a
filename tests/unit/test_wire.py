import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinnybox import wire
from skinnybox.errors import Corrupt
from skinnybox.wire import Line

KEYS = st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True).filter(lambda key: key != "end")
VALUES = st.from_regex(r"[!-~]([ -~]{0,40}[!-~])?|", fullmatch=True)
LINES = st.lists(st.builds(Line, KEYS, VALUES, st.none() | st.binary(min_size=1, max_size=200)))


@given(LINES)
def test_what_is_encoded_is_decoded(lines: list[Line]) -> None:
    message = wire.decode(wire.encode("seed", 1, lines), "seed")
    assert message == wire.Message("seed", 1, tuple(lines))


@given(st.binary(max_size=400))
def test_hostile_bytes_are_refused_in_one_way_only(data: bytes) -> None:
    for start in (b"", b"skinnybox-report 1\n"):
        with contextlib.suppress(Corrupt):
            wire.decode(start + data, "report")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "not a seed"),
        (b"skinnybox-report 1\nend\n", "not a seed"),
        (b"skinnybox-seed 0\nend\n", "not a seed"),
        (b"skinnybox-seed 1\nhostname web\n", "no `end`"),
        (b"skinnybox-seed 1\nHOST web\nend\n", "line 2"),
        (b"skinnybox-seed 1\nhostname  web\nend\n", "line 2"),
        (b"skinnybox-seed 1\nfile /x\n !!!\nend\n", "base64"),
        (b"skinnybox-seed 1\n AAAA\nend\n", "line 2"),
    ],
)
def test_malformed_messages_say_where(text: bytes, why: str) -> None:
    with pytest.raises(Corrupt, match=why):
        wire.decode(text, "seed")


@pytest.mark.parametrize("line", [Line("end"), Line("Key"), Line("key", "two\nlines"), Line("key", " blank")])
def test_what_the_format_cannot_carry_is_refused(line: Line) -> None:
    with pytest.raises(ValueError):
        wire.encode("seed", 1, [line])


def test_padding_fills_to_the_byte_and_is_ignored() -> None:
    message = wire.encode("base", 1, [Line("instance", "x")])
    padded = wire.padded(message, 4096)
    assert len(padded) == 4096
    assert wire.decode(padded, "base") == wire.decode(message, "base")
    with pytest.raises(ValueError):
        wire.padded(message, len(message) - 1)


def test_only_the_limit_is_looked_at() -> None:
    with pytest.raises(Corrupt, match="no `end` within 30 bytes"):
        wire.decode(b"skinnybox-seed 1\n" + b"a b\n" * 100 + b"end\n", "seed", limit=30)
