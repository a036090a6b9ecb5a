"""A machine that goes from one master to the other, back, and on again, by whole commands that are killed
over it at any moment: the command alone, or with all that it started."""

import contextlib
import os
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.cli.main import run_command
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.view import MachineView
from skinnybox.hosts.local import leftovers
from skinnybox.overlays import inspect
from tests.faults.conftest import Place, _digest, no_bug
from tests.faults.leftovers import unexplained
from tests.fleet.rebasing import guests, hangs, on_new
from tests.fleet.repairing import found
from tests.fleet.test_rebase import CONF, put
from tests.unit.rebased_disk import read, shown

NAME, MASTERS = "web", ("web:1", "web:2")
KEY = "srv/key"
NOT_FOUND, FAILED = 3, 1
_ENDING = 60.0
Words = tuple[str, ...]
ROLLBACK: Words = ("rollback", NAME)
COMMIT: Words = ("rebase", NAME, "--commit", "-y")


def rebase(onto: str) -> Words:
    return ("rebase", NAME, "--onto", onto, "--timeout", "1", "-y")


def other(reference: str) -> str:
    return MASTERS[reference == MASTERS[0]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the files tell: of which master the overlay says it is, and digests of it and of what is kept.
    `way`: the label of what it was before, by its record."""

    reference: str
    overlay: str
    kept: dict[str, str]
    way: str | None


@dataclass(kw_only=True)
class Walk:
    """`lived` counts what its guest wrote, so that no two overlays of it are alike."""

    place: Place
    chance: random.Random
    lived: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    left_alone: int = 0
    _seconds: dict[str, list[float]] = field(default_factory=dict)

    def begin(self) -> None:
        """On web:1, with files of its own: one that both have otherwise, and one of an account that moves."""
        self.place.ok("create", "-m", MASTERS[0], "--overlay", "32M", "--sparse", NAME)
        put(self._overlay(), "own", "mine")
        put(self._overlay(), "etc/web.conf", CONF.replace("80", "8080"))
        put(self._overlay(), KEY, "secret")
        run.run(["debugfs", "-w", "-R", f"sif upper/{KEY} uid 101", self._overlay()])
        self._live()
        for words in (rebase(MASTERS[1]), ROLLBACK, rebase(MASTERS[1]), COMMIT):
            self._blow(words, whole=False, dies=False)

    def step(self) -> None:
        """One blow, and all that must hold after it."""
        self._be_on_or_off()
        before = self.seen()
        words = self._next(before)
        bad = self._onto(words) is not None and self.chance.random() < 0.1
        with self._guests(self._onto(words) if bad else None):
            self._blow(words, whole=self.chance.random() < 0.5, dies=True)
            self._explained(before, words)
            self._go_on(before, words, bad=bad)
        self._is_whole(before, words)

    def seen(self) -> Seen:
        """Nothing is decided by it."""
        machine, overlay = self._machine(), self._overlay()
        base = (inspect.read_base(overlay).get("image") or "").split()[0]
        [reference] = [each for each in MASTERS if base in self._images(each)]
        kept = {
            path.stem: _digest(path)
            for path in sorted(overlay.parent.glob("snapshots/*.img"))
            if not path.samefile(overlay)  # that is none, and goes
        }
        trial = machine.instance.trial
        way = None if trial is None or trial.kept not in kept else trial.kept
        return Seen(reference=reference, overlay=_digest(overlay), kept=kept, way=way)

    def _next(self, before: Seen) -> Words:
        if before.way is None:
            return rebase(other(before.reference))
        return self.chance.choice((ROLLBACK, COMMIT))

    def _onto(self, words: Words) -> str | None:
        return words[words.index("--onto") + 1] if "--onto" in words else None

    def _blow(self, words: Words, *, whole: bool, dies: bool) -> None:
        """`whole`: with all that it started. Without that they may go on when the next command comes."""
        kind = "rebase" if self._onto(words) else "commit" if "--commit" in words else "rollback"
        usual = self._seconds.setdefault(kind, [])
        begun, child = time.monotonic(), self._forked(words)
        if not dies:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, words
            usual.append(time.monotonic() - begun)
            return
        time.sleep(self.chance.random() * statistics.median(usual))
        os.kill(child, signal.SIGSTOP)  # else it starts more while we look
        started = _below(child)
        for pid in (child, *(started if whole else ())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL:
            self.kills[kind] += 1
            self.left_alone += bool(started) and not whole
        if self.chance.random() < 0.5:
            _ended(started)

    def _forked(self, words: Words) -> int:
        """The same code as a command's, without an interpreter's start."""
        child = os.fork()
        if child:
            return child
        try:
            with (self.place.folder / "said").open("w") as said:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                    code = run_command(self.place.words(*words))
        except SystemExit as ended:
            code = int(str(ended.code))
        finally:
            os._exit(code)

    def _explained(self, before: Seen, words: Words) -> None:
        """Who only looks finds a machine: as it was, or as it is to be; and nothing that it had is lost."""
        assert no_bug(self.place.cli("list")).code == 0
        assert no_bug(self.place.cli("show", NAME)).code == 0
        now = self.seen()
        had = {before.overlay, *before.kept.values()}
        if "--commit" in words and before.way is not None:
            had.remove(before.kept[before.way])
        assert had <= {now.overlay, *now.kept.values()}, (before, now)
        if now.overlay != before.overlay:
            assert now.reference == other(before.reference), (before, now)
        files = self._files()
        assert files == self._wanted(now.reference), (now, files)

    def _go_on(self, before: Seen, words: Words, *, bad: bool) -> None:
        """By the same command, by who starts it, or by `repair`."""
        how = self.chance.random()
        if how < 0.5:
            self._again(before, words, bad=bad)
        elif how < 0.75:
            said = no_bug(self.place.cli("start", NAME))
            assert said.code == 0 or bad or "runs already" in said.err, said
        else:
            self.place.ok("repair", "-y")
        self._explained(before, words)

    def _again(self, before: Seen, words: Words, *, bad: bool) -> None:
        said, onto = no_bug(self.place.cli(*words)), self._onto(words)
        if onto is None:
            assert said.code in (0, NOT_FOUND), said
            done = before.reference if "--commit" in words else other(before.reference)
            assert (self.seen().reference, self.seen().way) == (done, None), said
            return
        assert said.code == 0 or (bad and "on " + before.reference + " again" in said.err), said
        assert self.seen().reference == (onto if said.code == 0 else before.reference), said

    def _is_whole(self, before: Seen, words: Words) -> None:
        """What is left of it is decided, and what nobody accounts for `repair` knows and takes away."""
        _ended(_children())
        left, known = unexplained(self.place.state), found(self.place.state)
        unknown = [path for path in left if known.keys().isdisjoint(map(str, (path, *path.parents)))]
        assert unknown == [], known
        if left:
            with pytest.MonkeyPatch.context() as monkeypatch:
                monkeypatch.setattr(leftovers, "_YOUNG", 0.0)  # nobody can be at it any more
                self.place.ok("repair", "-y")
            assert unexplained(self.place.state) == []
        # A trial whose command was killed is decided by who comes next, and `repair` is not meant by that.
        self.place.ok("wait" if self._runs() else "start", NAME)
        machine = self._machine()
        assert machine.told in ("ready", "ready, kept"), machine
        assert machine.instance.stack.reference == self.seen().reference
        self._explained(before, words)

    def _be_on_or_off(self) -> None:
        """It lives on; so much is kept of it, and no more."""
        if self._runs():
            self.place.ok("stop", NAME)
        self._live()
        labels = [label for label in self.seen().kept if label.startswith("after-")]
        for label in labels[:-2]:
            self.place.ok("snapshot", "delete", "-y", label, NAME)
        if self.chance.random() < 0.5:
            self.place.ok("start", NAME)

    def _live(self) -> None:
        """It writes a file."""
        self.lived += 1
        orders = self.place.folder / "orders"
        orders.write_text(f"rm upper/srv/n\nwrite {orders} upper/srv/n\n# {self.lived}\n")
        run.run(["debugfs", "-w", "-f", orders, self._overlay()])

    def _wanted(self, reference: str) -> dict[str, tuple[bytes, int]]:
        """What its guest wrote is not asked for: that went with the way it took."""
        conf = CONF.replace("80", "8080")
        if reference == MASTERS[1]:
            conf = conf.replace("Debug no", "Debug yes")
        uid = 100 + int(reference[-1])
        return {"own": (b"mine", 0), "etc/web.conf": (conf.encode(), 0), KEY: (b"secret", uid)}

    def _files(self) -> dict[str, tuple[bytes, int]]:
        passed = ("srv/n", "var/lib/")
        files = {path.decode(): (t.content, t.uid) for path, t in shown(read(self._overlay())).items()}
        return {path: each for path, each in files.items() if not path.startswith(passed)}

    @contextlib.contextmanager
    def _guests(self, bad_on: str | None) -> Iterator[None]:
        """Those that are never ready on one master, for a while."""
        with pytest.MonkeyPatch.context() as monkeypatch:
            if bad_on is not None:
                guests(monkeypatch, on_new(hangs, min(self._images(bad_on))))
            yield

    def _images(self, reference: str) -> set[str]:
        with open_fleet(self._settings) as fleet:
            return {image.digest for image in fleet.masters.find(reference).images}

    def _machine(self) -> MachineView:
        with open_fleet(self._settings) as fleet:
            return fleet.machine(NAME)

    def _runs(self) -> bool:
        status = self._machine().status
        return status is not None and status.pid is not None

    def _overlay(self) -> Path:
        return self.place.state / "instances" / str(self._machine().instance.uuid) / "overlay.img"

    @property
    def _settings(self) -> Settings:
        return Settings(state=self.place.state, host=self.place.host)


def _parents() -> dict[int, int]:
    """Of every process that is one: what has ended and nobody has waited for is none."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state not in "ZX":
                parents[int(entry.name)] = int(parent)
    return parents


def _below(top: int) -> set[int]:
    """All that it started, and they did."""
    parents, known = _parents(), {top}
    while more := {pid for pid, parent in parents.items() if parent in known} - known:
        known |= more
    return known - {top}


def _children() -> set[int]:
    return _below(os.getpid())


def _ended(started: set[int]) -> None:
    """Nothing that a command starts outlives it for long."""
    deadline = time.monotonic() + _ENDING
    while left := started & set(_parents()):
        assert time.monotonic() < deadline, f"{left} go on without the command that started them"
        time.sleep(0.01)
