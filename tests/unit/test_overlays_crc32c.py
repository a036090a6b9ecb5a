import os

import pytest

from skinnybox.crc32c import byte_effects, crc32c, effect


def test_the_standard_check_value() -> None:
    assert crc32c(b"123456789") ^ 0xFFFFFFFF == 0xE3069283


def test_it_continues() -> None:
    assert crc32c(b"456", crc32c(b"123")) == crc32c(b"123456")


@pytest.mark.parametrize(("start", "length", "end"), [(0, 16, 16), (5, 16, 300), (0x68, 16, 0x3FC)])
def test_changed_bytes_need_no_second_look_at_the_rest(start: int, length: int, end: int) -> None:
    old = os.urandom(end)
    new = old[:start] + os.urandom(length) + old[start + length :]
    difference = bytes(a ^ b for a, b in zip(old[start : start + length], new[start:], strict=False))
    effects = byte_effects(length, end - start - length)
    assert crc32c(old) ^ effect(difference, effects) == crc32c(new)
