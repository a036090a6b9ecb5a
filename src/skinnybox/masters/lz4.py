"""Unpacking one LZ4 block (lz4_Block_format.md), as EROFS images are made of."""

from skinnybox.errors import Corrupt


def unpack(block: bytes, size: int) -> bytes:
    """The first `size` bytes of what is in it. Corrupt when it holds fewer, or points to nothing.

    It never makes more than `size`, plus one copy of what it has."""
    out = bytearray()
    at = 0
    try:
        while len(out) < size:
            token = block[at]
            at += 1
            length = token >> 4
            if length == 15:
                length, at = _longer(block, at, length)
            out += block[at : at + length]
            at += length
            if at >= len(block) or len(out) >= size:
                break  # the last sequence is literals alone
            back = block[at] | block[at + 1] << 8
            at += 2
            length = token & 15
            if length == 15:
                length, at = _longer(block, at, length)
            length += 4
            start = len(out) - back
            if length <= back <= len(out):  # nearly always: to call a function for each takes as long again
                out += out[start : start + length]
            else:
                _repeat(out, back, min(length, size - len(out)))
    except IndexError as error:
        raise Corrupt("an LZ4 block ends too early") from error
    if len(out) < size:
        raise Corrupt(f"an LZ4 block holds {len(out)} bytes instead of {size}")
    return bytes(out[:size])


def _longer(block: bytes, at: int, length: int) -> tuple[int, int]:
    while True:
        more = block[at]
        at += 1
        length += more
        if more != 255:
            return length, at


def _repeat(out: bytearray, back: int, length: int) -> None:
    """From `back` bytes ago; where that is nearer than it is long, it repeats itself."""
    start = len(out) - back
    if back == 0 or start < 0:
        raise Corrupt("an LZ4 block points to before its beginning")
    piece = bytes(out[start:])
    out += (piece * (length // back + 1))[:length]
