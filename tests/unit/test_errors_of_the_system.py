"""What the system refuses comes out as an error of ours, with words and a hint, through whichever seam."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skinnybox.errors import NoSpace, SkinnyboxError, from_system, of_system
from skinnybox.fleet.output_file import handed_out
from skinnybox.hosts.local.store import translated
from skinnybox.overlays.journal import copied

REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.ELOOP)


@pytest.mark.parametrize("number", REFUSED, ids=errno.errorcode.get)
def test_every_refusal_has_words_a_path_and_a_hint(number: int) -> None:
    found = from_system(OSError(number, os.strerror(number), "/some/file"))
    assert found is not None and found.hint
    assert found.message.startswith("/some/file: ") and len(found.message) > len("/some/file: ")
    no_room = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    assert isinstance(found, NoSpace) is (number in no_room)


def test_where_the_system_names_no_file_the_seam_does() -> None:
    assert of_system(OSError(errno.EDQUOT, "x"), "/a").message == "/a: the quota is used up"
    assert of_system(OSError(errno.EXDEV, "odd"), "/a").message == "/a: odd"


def test_what_nobody_denied_us_is_a_bug_of_ours() -> None:
    assert from_system(FileNotFoundError(errno.ENOENT, "x")) is None


@contextmanager
def no_large_files() -> Iterator[None]:
    """Python ignores the signal, so the system says EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_may_not_be_so_large(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 10000)
    with no_large_files():
        with pytest.raises(NoSpace, match="so large"):
            copied(source, tmp_path / "copy")
        with pytest.raises(NoSpace, match="so large"), handed_out(tmp_path / "out") as part:
            part.write_bytes(b"x" * 10000)
        with pytest.raises(NoSpace, match="so large"), translated():
            (tmp_path / "third").write_bytes(b"x" * 10000)


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(SkinnyboxError, match="a folder where a file should be") as caught, translated():
        tmp_path.read_bytes()
    assert caught.value.hint and str(tmp_path) in caught.value.message
