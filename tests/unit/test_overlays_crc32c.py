import os

import pytest

from skinnybox.crc32c import bit_effects, changed, crc32c


def test_the_standard_check_value() -> None:
    assert crc32c(b"123456789") ^ 0xFFFFFFFF == 0xE3069283


def test_it_continues() -> None:
    assert crc32c(b"456", crc32c(b"123")) == crc32c(b"123456")


@pytest.mark.parametrize(("start", "length", "end"), [(0, 16, 16), (5, 16, 300), (0x68, 16, 0x3FC)])
def test_changed_bytes_need_no_second_look_at_the_rest(start: int, length: int, end: int) -> None:
    old = os.urandom(end)
    new = old[:start] + os.urandom(length) + old[start + length :]
    difference = int.from_bytes(new[start : start + length], "little")
    difference ^= int.from_bytes(old[start : start + length], "little")
    effects = bit_effects(length, end - start - length)
    assert changed(crc32c(old), difference, effects) == crc32c(new)
