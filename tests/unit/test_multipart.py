"""A form with files, taken apart as it comes: the same however it was cut into pieces."""

import itertools
import random
from collections.abc import Sequence

import pytest

from skinnybox.errors import UsageError
from skinnybox.gate.multipart import MULTIPART, Begin, End, Event, Parts

TYPE = f"{MULTIPART}; boundary=xyz"
FORM = (
    b'--xyz\r\nContent-Disposition: form-data; name="name"\r\n\r\nweb\r\n'
    b'--xyz\r\nContent-Disposition: form-data; name="archive"; filename="C:\\\\x\\\\..\\\\web \x1b.zst"\r\n'
    b"Content-Type: application/zstd\r\n\r\n--xy\r\n--xyzz\r\n\r\n--xyz-\0\r\n"
    b'--xyz\r\ncontent-disposition: form-data; name="archive"; filename=""\r\n\r\n\r\n--xyz--\r\n'
)
FOUND: Sequence[Event] = (
    Begin(name="name", file=None), b"web", End(), Begin(name="archive", file=r"web \x1b.zst"),
    b"--xy\r\n--xyzz\r\n\r\n--xyz-\0", End(), Begin(name="archive", file=""), End(),
)  # fmt: skip


def taken(pieces: Sequence[bytes]) -> list[Event]:
    """With pieces of a part as one."""
    parts, found = Parts(TYPE), list[Event]()
    for event in (event for piece in pieces for event in parts.take(piece)):
        if isinstance(event, bytes) and isinstance(found[-1], bytes):
            found[-1] += event
        elif event != b"":
            found.append(event)
    parts.finish()
    return found


def test_it_is_the_same_however_it_comes() -> None:
    chance = random.Random(1)
    assert taken([FORM]) == list(FOUND) == taken([FORM[at : at + 1] for at in range(len(FORM))])
    for _ in range(100):
        cuts = [0, *sorted(chance.sample(range(len(FORM)), 5)), len(FORM)]
        assert taken([FORM[one:other] for one, other in itertools.pairwise(cuts)]) == list(FOUND)


def test_what_is_none_or_is_cut_off_is_refused() -> None:
    for wrong in (
        "",
        "text/plain",
        MULTIPART,
        f"{MULTIPART}; boundary=",
        f"{MULTIPART}; boundary={'x' * 101}",
    ):
        with pytest.raises(UsageError):
            Parts(wrong)
    for end in range(len(FORM) - 4):
        with pytest.raises(UsageError):
            taken([FORM[:end]])
    many = b"".join(b"X-%d: y\r\n" % number for number in range(100))
    nameless = b"--xyz\r\nContent-Disposition: form-data\r\n\r\n"
    long = b"--xyz\r\nX: " + b"y" * 10_000
    for start in (
        b"x",
        b"--abc\r\n",
        b"--xyz\r\n\r\nx",
        b"--xyz\r\n\0: y\r\n",
        b"--xyz\r\n" + many,
        nameless,
        long,
    ):
        with pytest.raises(UsageError):
            taken([start])


def test_no_bytes_are_a_bug_of_ours() -> None:
    chance = random.Random(2)
    for _ in range(2000):
        form = bytearray(FORM)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(form))
            form[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        try:
            taken([bytes(form)])
        except UsageError as error:
            assert error.message.isprintable()
