"""CRC-32C (Castagnoli) as ext4 and EROFS write it: started with all ones, not inverted at the end."""

_POLYNOMIAL = 0x82F63B78


def _entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE = tuple(_entry(value) for value in range(256))


def crc32c(data: bytes, crc: int = 0xFFFFFFFF) -> int:
    """Continue `crc` over `data`."""
    table = _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc


def bit_effects(length: int, after: int) -> tuple[int, ...]:
    """How each bit of `length` bytes, with `after` more bytes behind them, changes the checksum of the whole.

    The checksum is linear: the effects of all changed bits, xor'ed, turn the old checksum into the new one.
    Bit n of the result belongs to bit n of the bytes read as a little-endian number.
    """
    bits = [_TABLE[1 << bit] for bit in range(8)]
    effects: list[list[int]] = []
    for distance in range(after + length):
        if distance >= after:
            effects.append(bits)
        bits = [_TABLE[bit & 0xFF] ^ bit >> 8 for bit in bits]
    return tuple(bit for byte in reversed(effects) for bit in byte)


def changed(crc: int, difference: int, effects: tuple[int, ...]) -> int:
    """The checksum once the bits of `difference` are flipped; see bit_effects."""
    while difference:
        lowest = difference & -difference
        crc ^= effects[lowest.bit_length() - 1]
        difference ^= lowest
    return crc
