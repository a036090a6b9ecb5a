"""A machine's own check, as people say it."""

import pytest

from skinnybox.errors import UsageError
from skinnybox.model.own_check import LONGEST, check_command


@pytest.mark.parametrize(
    "text", ["true", "curl -fs localhost | grep -q ü", "test -e /a\n\ttest -e /b\n", "x" * LONGEST]
)
def test_what_is_a_check_stays_as_it_is(text: str) -> None:
    assert check_command(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no check"), (" \n", "no check"), ("a\0b", "no check"), ("a\x1b[2J", "no check"),
        ("a\rb", "no check"),
        ("\udc80", "not text"), ("x" * (LONGEST + 1), "longer than"), ("ü" * LONGEST, "longer than"),
    ],
)  # fmt: skip
def test_what_no_shell_could_be_handed_is_refused(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        check_command(text)
