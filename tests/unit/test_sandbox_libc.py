"""A system call that fails is told, by what it was for: whoever believed it went would run unconfined."""

import pytest

from skinnybox.sandbox import libc

NOWHERE = 0x7FFF
"""Neither a system call nor an option of prctl has this number."""


def test_what_fails_is_an_error_that_names_it() -> None:
    for act in (libc.system_call, libc.control):
        with pytest.raises(OSError, match="of no use: ") as caught:
            act("of no use", NOWHERE)
        assert caught.value.errno


def test_a_mount_that_fails_names_its_place() -> None:
    with pytest.raises(OSError, match="mounting /nowhere/at/all: "):
        libc.mount("none", "/nowhere/at/all", "tmpfs", 0)


def test_what_goes_says_what_came_of_it() -> None:
    assert libc.control("whether we may be traced", 3) in (0, 1, 2)
