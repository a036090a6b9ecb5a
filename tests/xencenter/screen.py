"""A screen that nobody looks at, with a keyboard: Xvfb, xdotool, ImageMagick."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from skinnybox import run
from tests.pace import within

_PROGRAMS = ("Xvfb", "xdotool", "import", "convert")


@dataclass(frozen=True, slots=True)
class Screen:
    display: str

    def tool(self, *words: str) -> str:
        return run.run(["xdotool", *words], env=self.environment(), ok=(0, 1)).stdout.decode().strip()

    def environment(self) -> dict[str, str]:
        return {"DISPLAY": self.display, "LC_ALL": "C.UTF-8"}

    def names(self) -> list[str]:
        """Of all windows that are shown."""
        found = self.tool("search", "--onlyvisible", "--name", "Skinnybox").split()
        return [self.tool("getwindowname", each) for each in found]

    def wait_for(self, name: str, seconds: float = 30.0) -> None:
        """Until a window is called so; it has the keyboard then."""
        deadline = time.monotonic() + within(seconds)
        while name not in self.names():
            assert time.monotonic() < deadline, f"{name} did not come: {self.names()}"
            time.sleep(0.1)
        for window in self.tool("search", "--onlyvisible", "--name", f"^{name}$").split():
            self.tool("windowfocus", "--sync", window)

    def type(self, text: str) -> None:
        self.tool("type", "--delay", "30", text)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tool("key", key)
            time.sleep(0.1)

    def picture(self, path: Path) -> Path:
        time.sleep(0.3)
        run.run(["import", "-window", "root", str(path)], env=self.environment())
        return path


def has_colour(picture: Path, colour: str, least: int) -> bool:
    """Whether so many pixels are exactly of it (hexadecimal digits, upper case)."""
    told = run.run(["convert", str(picture), "-format", "%c", "histogram:info:-"]).stdout.decode()
    counts = [int(line.split(":")[0]) for line in told.splitlines() if f"#{colour}" in line]
    return sum(counts) >= least


@contextmanager
def screen(size: str = "700x560") -> Iterator[Screen]:
    if not all(run.find(each) for each in _PROGRAMS):
        pytest.fail("no Xvfb, xdotool or ImageMagick: script/setup --full installs them")
    reading, writing = os.pipe()
    words = ["Xvfb", "-displayfd", str(writing), "-screen", "0", f"{size}x24", "-nolisten", "tcp"]
    with run.start(words, pass_fds=(writing,), stdout=run.PIPE, stderr=run.STDOUT) as server:
        os.close(writing)
        with os.fdopen(reading) as told:
            number = told.readline().strip()
        assert number, "Xvfb did not start"
        yield Screen(f":{number}")
        server.terminate()
        server.wait(within(10))
