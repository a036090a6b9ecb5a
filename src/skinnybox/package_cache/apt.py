"""This computer's apt at work in its private folder."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from skinnybox import run
from skinnybox.errors import CommandFailed, NoSpace
from skinnybox.operation import Operation

_REFUSED = 100
_FETCHED = re.compile(r"Get:\d+ \S+ \S+ \S+ (\S+) ")
_PULSE = "dlstatus:"
_PULSES = ("-o", "APT::Status-Fd=1")
_SAID = re.compile(r"^E: (.*)$", re.MULTILINE)
_ABOUT = re.compile(r"Failed to fetch (\S+://[^/\s]+)")
_TOLD = 3
_AWAY = (
    "it goes by all of the new master's own sources, and by this computer's proxy: is the mirror there? A "
    "master whose source is gone for good has to be built again without it; what is kept of an old release "
    "may need Acquire::Check-Valid-Until in this computer's apt.conf"
)


class Apt:
    """As its configuration has it. Every call blocks, raises CommandFailed with apt's own words, and ends
    with its operation: apt, or whoever it started, does not outlive that."""

    def __init__(self, configuration: Path) -> None:
        self._env = {"APT_CONFIG": str(configuration), "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}

    def told(self, words: Sequence[str], operation: Operation) -> str:
        return self._ended(words, operation, (0,)).stdout.decode("utf-8", "replace")

    def judged(self, words: Sequence[str], operation: Operation) -> tuple[int, str]:
        """Also what it refuses: its code, and all that it says."""
        ended = self._ended(words, operation, (0, _REFUSED))
        return ended.returncode, (ended.stdout + b"\n" + ended.stderr).decode("utf-8", "replace")

    def fetch(self, words: Sequence[str], heard: Callable[[str], None], operation: Operation) -> None:
        """What goes over a network. `heard` is told the name of each thing that comes. NoSpace."""

        def line(said: str) -> None:
            operation.check(words[0])
            if not said.startswith(_PULSE) and (get := _FETCHED.match(said)):
                heard(get[1])

        argv = _tied([words[0], *_PULSES, *words[1:]])
        try:
            run.run(argv, keep=run.FETCHING, env=self._env, output=line)
        except CommandFailed as error:
            if "enough free space" in error.stderr:
                raise NoSpace("no space left for the packages of the new release") from error
            told = "; ".join(_reasons(error.stderr)[:_TOLD]) or error.message
            raise CommandFailed(
                f"the packages of the new release cannot be fetched: {told}",
                returncode=error.returncode,
                stderr=error.stderr,
                hint=_AWAY,
            ) from error

    def _ended(self, words: Sequence[str], operation: Operation, ok: Sequence[int]) -> run.Ended:
        return run.run(
            _tied(words), keep=run.FETCHING, env=self._env, ok=ok, attend=lambda: operation.check(words[0])
        )


def _reasons(said: str) -> list[str]:
    """The first of each server: a mirror that is away is so with each of its suites."""
    found: dict[str, str] = {}
    for line in _SAID.findall(said):
        about = _ABOUT.match(line)
        found.setdefault(about[1] if about else line, line)
    return list(found.values())


def _tied(words: Sequence[str]) -> list[str | os.PathLike[str]]:
    """What fetches for apt ends when apt does; who may, makes sure of it."""
    return run.tied(words) if os.geteuid() == 0 else run.with_us(words)
