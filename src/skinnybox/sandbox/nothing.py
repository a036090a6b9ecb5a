"""A confined reader that reads nothing: it shows that one can be started."""

from collections.abc import Sequence


def main(_: Sequence[str]) -> None:
    pass
