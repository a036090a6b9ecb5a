"""A password as /etc/shadow has it: SHA-512 of crypt(5), which every libc of Linux checks.

After Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512" (akkadia.org/drepper/SHA-crypt.txt); the letters
in the comments are its steps. The standard library's `crypt` went with Python 3.13.
"""

import hashlib
import secrets

_ROUNDS = 5000
"""Said nowhere in the text, for it is the default."""
_DIGITS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SALT, _SIZE, _THIRD = 16, 64, 21


def hashed(password: str, salt: str | None = None) -> str:
    """`salt`, of at most 16 of the digits above, is drawn where none is given."""
    drawn = salt if salt is not None else "".join(secrets.choice(_DIGITS) for _ in range(_SALT))
    return f"$6${drawn}${_text(_digest(password.encode(), drawn.encode()))}"


def _digest(key: bytes, salt: bytes) -> bytes:
    alternate = _sha(key + salt + key)  # B
    first = key + salt + _filled(alternate, len(key))  # A, to step 10
    length = len(key)
    while length:  # 11
        first += alternate if length & 1 else key
        length >>= 1
    found = _sha(first)
    keys = _filled(_sha(key * len(key)), len(key))  # DP, P
    salts = _filled(_sha(salt * (16 + found[0])), len(salt))  # DS, S
    for number in range(_ROUNDS):  # 21
        odd = number % 2
        between = (salts if number % 3 else b"") + (keys if number % 7 else b"")
        found = _sha((keys if odd else found) + between + (found if odd else keys))
    return found


def _sha(text: bytes) -> bytes:
    return hashlib.sha512(text).digest()


def _filled(digest: bytes, length: int) -> bytes:
    return (digest * (length // _SIZE + 1))[:length]


def _text(digest: bytes) -> str:
    """Step 22: three bytes to four digits, each time from other thirds; the last byte to two."""
    said = ""
    for number in range(_THIRD):
        places = (number, number + _THIRD, number + 2 * _THIRD)
        turned = places[number % 3 :] + places[: number % 3]
        said += _digits(int.from_bytes(bytes(digest[place] for place in turned)), 4)
    return said + _digits(digest[-1], 2)


def _digits(value: int, count: int) -> str:
    return "".join(_DIGITS[value >> 6 * place & 63] for place in range(count))
