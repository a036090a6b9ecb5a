"""What a hostile guest prints: the orders that are more than text, colours and places never reach a
browser."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinnybox.web.console_bytes import Tame, as_text

BEL, ST, C1_ST = b"\x07", b"\x1b\\", "\x9c".encode()
CLIPBOARD = b"52;c;" + base64.b64encode(b"rm -rf /")
LINK = b"8;;http://evil.example"


@pytest.mark.parametrize(
    "order", [b"]0;title", b"]2;title", b"]" + CLIPBOARD, b"]" + LINK, b"P$q", b"_x", b"^x", b"Xx"]
)
@pytest.mark.parametrize("end", [BEL, ST, C1_ST, b"\x18", b"\x1a"])
def test_strings_are_left_out_and_what_is_around_them_is_not(order: bytes, end: bytes) -> None:
    shown = Tame()(b"before\x1b" + order + end + b"after\x1b[31mred")
    assert shown == b"before" + b"after\x1b[31mred"


@pytest.mark.parametrize("begin", ["\x90", "\x98", "\x9d", "\x9e", "\x9f"])
def test_the_same_as_letters(begin: str) -> None:
    assert Tame()(b"a" + begin.encode() + CLIPBOARD + BEL + b"b") == b"ab"


@pytest.mark.parametrize(
    "hidden",
    [
        b"\x1b\n]" + CLIPBOARD + BEL,  # a control in the middle of an order is obeyed, and the order goes on
        b"\x1b\x00\x7f]" + CLIPBOARD + BEL,
        b"\x1b\x1b]" + CLIPBOARD + BEL,
        b"\xc2\x1b]" + CLIPBOARD + BEL,
        b"\x1b\xc2\x9d" + CLIPBOARD + BEL,
        b"\xc2\xc2\x9d" + CLIPBOARD + BEL,
        b"\x1b]0;x\x1b]" + CLIPBOARD + BEL,
        b"\x1b]0;x\x1b\n]" + CLIPBOARD + BEL,
        b"\x1bP\xc2\x9d" + CLIPBOARD + BEL,
        b"\x1b[1\x1b]" + CLIPBOARD + BEL,
    ],
)
def test_nothing_hides_behind_what_is_broken(hidden: bytes) -> None:
    assert CLIPBOARD not in Tame()(hidden + b"end")
    assert Tame()(hidden + b"end").endswith(b"end")


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_it_is_the_same_in_pieces(stream: bytes, cuts: list[int]) -> None:
    tame, at, found = Tame(), 0, b""
    for cut in [*sorted(cuts), len(stream)]:
        found += tame(stream[at:cut])
        at = max(at, cut)
    assert found == Tame()(stream)


ODD = st.sampled_from(
    [b"\x1b", b"]", b"P", b"\xc2", b"\x9d", b"\x9c", b"\\", BEL, b"\n", b"\x18", b"x", b"["]
)


@given(st.lists(ODD, max_size=24))
def test_no_string_is_ever_begun(pieces: list[bytes]) -> None:
    shown = Tame()(b"".join(pieces))
    assert not any(b"\x1b" + bytes([letter]) in shown for letter in b"]PX^_")
    assert not any(c1.encode() in shown for c1 in "\x90\x98\x9d\x9e\x9f")


def test_text_of_all_kinds_comes_through() -> None:
    text = "grüße 你好 🦀 \x1b[1;32mok\x1b[0m\r\n\tcafé\n".encode()
    assert Tame()(text) == text


def test_a_page_shows_no_order_at_all() -> None:
    log = b"\x1b[32m OK \x1b[0m ready\r\n10%\r100%\r\n\x1b]0;t\x07login: \x1b[?25h\x1b(B\x00\xff"
    assert as_text(log) == " OK  ready\n100%\nlogin: \\x00�"
