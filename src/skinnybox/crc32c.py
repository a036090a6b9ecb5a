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


def byte_effects(length: int, after: int) -> tuple[tuple[int, ...], ...]:
    """What each value of each of `length` bytes, with `after` more bytes behind them, does to the checksum of
    the whole where there was a zero.

    The checksum is linear: the effects of all bytes' differences, xor'ed, turn the old one into the new one.
    """
    bits = [crc32c(bytes(after), _TABLE[1 << bit]) for bit in range(8)]
    effects: list[tuple[int, ...]] = []
    for _ in range(length):
        effects.append(_every_value(bits))
        bits = [_TABLE[bit & 0xFF] ^ bit >> 8 for bit in bits]
    return tuple(reversed(effects))


def _every_value(bits: list[int]) -> tuple[int, ...]:
    values = [0]
    for bit in bits:
        values += [value ^ bit for value in values]
    return tuple(values)


def effect(difference: bytes, effects: tuple[tuple[int, ...], ...]) -> int:
    """By what the checksum changes when these bytes are xor'ed to those that the effects are of."""
    found = 0
    for byte, values in zip(difference, effects, strict=True):
        found ^= values[byte]
    return found
