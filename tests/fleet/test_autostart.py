"""Machines that are marked come up with the host: all of them, a few at a time, whatever becomes of one."""

import json
import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.errors import Corrupt
from skinnybox.fleet.catalog import host_kind
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import Condition
from skinnybox.model import Instance, Master, Status
from skinnybox.operation import Operation
from tests.fleet.conftest import SPARSE, Said, said
from tests.fleet.test_delete import DELETING, another

Cli = Callable[..., Said]


@pytest.fixture
def cli(state: Path, master: Master, capsys: pytest.CaptureFixture[str]) -> Cli:
    return lambda *words: said(capsys, "--state", str(state), "--host", "memory", *words)


def test_the_mark_is_made_shown_and_obeyed(cli: Cli) -> None:
    assert cli("start").code == 2
    cli("create", "-m", "tiny", "--sparse", "--overlay", "64M", "b", "a", "--autostart")
    cli("create", "-m", "tiny", "--sparse", "--overlay", "64M", "c", "d")
    assert cli("autostart", "off", "b").out == "b: does not start with the host\n"
    assert cli("autostart", "on", "d").out == "d: starts with the host\n"
    marks = {m["name"]: m["autostart"] for m in json.loads(cli("list", "--format", "json").out)}
    assert marks == {"a": True, "b": False, "c": False, "d": True}
    assert [line.split()[-1] for line in cli("list", "--no-headers").out.splitlines()] == [
        "yes", "-", "-", "yes",
    ]  # fmt: skip
    assert "autostart:       yes" in cli("show", "a").out
    started = cli("start", "--autostart").out
    assert [line.split()[0] for line in started.splitlines()] == ["a:", "d:"]
    cli("reset", "-y", "b")
    assert json.loads(cli("show", "a", "--format", "json").out)[0]["autostart"] is True
    assert cli("start", "--autostart", "b", "c").out == ""
    cli("kill", "*")
    assert cli("start", "--autostart", "[a-c]").out.startswith("a: ready")
    assert cli("start", "--autostart").code == 0


def test_nothing_marked_is_no_failure(cli: Cli) -> None:
    done = cli("start", "--autostart")
    assert (done.code, done.out) == (0, "")
    assert "no machine is marked" in done.err


def test_one_that_fails_does_not_stop_the_others(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.create(["m-{1..6}"], "tiny", replace(SPARSE, autostart=True))
    start = fleet._host.start

    def fails(instance: Instance, master: Master, folder: Path, operation: Operation) -> Status:
        if instance.name == "m-2":
            raise Corrupt("for the test")
        return start(instance, master, folder, operation)

    monkeypatch.setattr(fleet._host, "start", fails)
    assert fleet.marked() == [f"m-{number}" for number in range(1, 7)]
    results = fleet.start(fleet.marked())
    assert [result.ok for result in results] == [True, False, True, True, True, True]


def test_no_more_come_up_at_once_than_the_host_bears(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.create(["m-{1..12}"], "tiny", replace(SPARSE, autostart=True))
    limit, start, lock = fleet._queries.boots_at_once, fleet._host.start, threading.Lock()
    coming, most = 0, 0
    together = threading.Barrier(limit, timeout=30)

    def counted(instance: Instance, master: Master, folder: Path, operation: Operation) -> Status:
        nonlocal coming, most
        with lock:
            coming += 1
            most = max(most, coming)
        if int(instance.name[2:]) <= limit:
            together.wait()
        with lock:
            coming -= 1
        return start(instance, master, folder, operation)

    monkeypatch.setattr(fleet._host, "start", counted)
    assert all(result.ok for result in fleet.start(fleet.marked()))
    assert most == limit


def test_what_was_interrupted_is_finished_first(fleet: Fleet, state: Path) -> None:
    fleet.create(["a", "b"], "tiny", replace(SPARSE, autostart=True))
    with another(DELETING, state):
        pass
    assert fleet.machine("a").condition is Condition.DELETING
    assert fleet.marked() == ["b"]
    assert len(list((state / "instances").iterdir())) == 1


def test_a_damaged_master_is_refused_by_name_at_the_start(fleet: Fleet, state: Path, master: Master) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    assert fleet.start(["a"])[0].ok
    fleet.kill(["a"])
    kernel = state / "masters" / master.id.removeprefix("sha256:") / "kernel"
    kernel.chmod(0o644)
    kernel.write_bytes(b"Kernel")
    error = fleet.start(["a"])[0].error
    assert isinstance(error, Corrupt) and "tiny:1 is damaged" in error.message and "/kernel" in error.message
    kernel.write_bytes(b"kernel")
    assert fleet.start(["a"])[0].ok


def test_the_unit_is_one(cli: Cli, tmp_path: Path) -> None:
    text = cli("autostart", "unit").out
    assert "start --autostart" in text and "stop --kill '*'" in text
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    unit = tmp_path / "skinnybox.service"
    unit.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert str(unit) not in done.stderr and unit.name not in done.stderr, done.stderr


def test_a_pool_does_not_start_with_this_computer(cli: Cli, state: Path) -> None:
    said = cli("--host", "xapi://root@pool", "autostart", "unit")
    assert said.code == 6 and said.out == "" and "run in a pool" in said.err
    state.mkdir(exist_ok=True)
    host_kind.note(state, "xapi")
    assert cli("autostart", "unit").code == 6


def test_odd_places_are_quoted_for_systemd() -> None:
    from skinnybox.cli.autostart import _quoted

    assert _quoted("/var/lib/skinnybox") == "/var/lib/skinnybox"
    assert _quoted('/a b/100%/$x"') == '"/a b/100%%/$$x\\""'
