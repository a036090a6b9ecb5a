"""What every fuzz test needs: how many inputs, what may come of each, and that nothing was written elsewhere.

Inputs come from fixed seeds, so a failure comes again; it is shown with the input that caused it.
"""

import contextlib
import hashlib
import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, ParamSpec, TypeVar

import pytest

from skinnybox.errors import SkinnyboxError

T = TypeVar("T")
P = ParamSpec("P")

MOST_SECONDS, MOST_WAITING = 10, 120
"""Of processor, and of waiting for others, for one input; most take less than a millisecond."""
MOST_MEMORY = 512 << 20
"""By which a test may make this process larger, in bytes."""


# Where each input starts a program, five hundred take longer than any other test beside other work.
_FULL = [pytest.mark.full, pytest.mark.timeout(3600)]


@pytest.fixture(params=["core", pytest.param("full", marks=_FULL)])
def tier(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rounds(tier: str) -> int:
    """How many inputs: together more than 10,000 in the full tier."""
    return 300 if tier == "core" else 1500


@pytest.fixture
def few(tier: str) -> int:
    """How many inputs where each starts a program."""
    return 60 if tier == "core" else 400


@pytest.fixture
def chance(tier: str) -> random.Random:
    return random.Random(f"skinnybox {tier}")


_ALARMS = (signal.SIGPROF, signal.SIGALRM)


class Stuck(BaseException):
    """No Exception, so that nothing on the way takes it for one of its own."""


def survives(call: Callable[P, T], *inputs: P.args, **named: P.kwargs) -> T | SkinnyboxError:
    """Its result, or the error from our tree. All else fails and shows the input; so does a hang."""
    before = [signal.signal(number, _stuck) for number in _ALARMS]
    signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
    begun, left, _ = time.monotonic(), *signal.setitimer(signal.ITIMER_REAL, MOST_WAITING)
    try:
        return call(*inputs, **named)
    except SkinnyboxError as error:
        assert error.message, inputs
        return error
    except Stuck:
        pytest.fail(f"more than {MOST_SECONDS} s for {_short(inputs)}")
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error}: for {_short(inputs)}") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        for number, handler in zip(_ALARMS, before, strict=True):
            signal.signal(number, handler)
        if left:  # the same clock tells when the whole test has taken too long
            signal.setitimer(signal.ITIMER_REAL, max(0.01, left - (time.monotonic() - begun)))


def _stuck(number: int, frame: FrameType | None) -> None:
    raise Stuck


def _short(shown: object) -> str:
    text = repr(shown)
    return text if len(text) < 4000 else f"{text[:3000]} ... {text[-900:]}"


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """This process does not grow over all its inputs."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < MOST_MEMORY


@pytest.fixture
def around(tmp_path: Path) -> Iterator[Path]:
    """A folder of files that nobody may touch, with an `inside` that may be written to."""
    inside = tmp_path / "inside"
    inside.mkdir()
    for name in ("victim", "folder/victim", "passwd", "etc/passwd", "x", "escaped/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{name} is untouched\n")
    before = snapshot(tmp_path)
    yield tmp_path
    assert snapshot(tmp_path) == before


def snapshot(folder: Path) -> dict[str, Any]:
    """All that can be told of everything below, but for `inside`."""
    found = {}
    for place, names, files in os.walk(folder):
        if "inside" in names and Path(place) == folder:
            names.remove("inside")
        for name in [*names, *files]:
            path = Path(place, name)
            info = path.lstat()
            content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            owner = (info.st_mode, info.st_uid, info.st_gid, info.st_nlink, info.st_size, info.st_mtime_ns)
            attributes = []
            with contextlib.suppress(OSError):
                attributes = os.listxattr(path, follow_symlinks=False)
            found[str(path)] = (owner, attributes, hashlib.sha256(content).hexdigest())
    return found
