"""The command line on a pool, as a user types it: over TLS, with the password in the environment."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from skinnybox.masters import efi
from tests.emulators.xapi import PASSWORD, EmulatedPool
from tests.samples import seal
from tests.xapi.furnished import at_work, furnished

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(bool(efi.missing()), reason="no disk of a master can be made here"),
]


class Said(NamedTuple):
    code: int
    out: str
    err: str


class Line:
    """A command line on one state folder and pool."""

    def __init__(self, state: Path, pool: EmulatedPool) -> None:
        self.pool = pool
        self.host = f"{pool.tls_url.replace('https', 'xapi').replace('://', '://root@')}"
        self.host += f"?sha256={pool.fingerprint}"
        self.environment = {
            **os.environ,
            "SKINNYBOX_STATE": str(state),
            "SKINNYBOX_XAPI_PASSWORD": PASSWORD,
            "SKINNYBOX_REACH": "false",  # nobody is at the addresses these guests report
        }

    def try_(self, *words: str, host: str | None = None) -> Said:
        command = [sys.executable, "-m", "skinnybox", "--host", host or self.host, *words]
        done = subprocess.run(
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def __call__(self, *words: str, host: str | None = None) -> str:
        said = self.try_(*words, host=host)
        assert said.code == 0, said
        return said.out

    def json(self, *words: str, host: str | None = None) -> Any:
        return json.loads(self(*words, "--format", "json", host=host))


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    folder = tmp_path_factory.mktemp("cli")
    seal(folder / "state", folder, "tiny", "1")
    with furnished(guest=at_work) as pool:
        pool.add_sr("san", "lvmoiscsi")
        yield Line(folder / "state", pool)
        with pool.database() as database:
            assert not database.tables["task"]  # sessions of a killed command end by themselves, in a day


def states(line: Line) -> dict[str, str]:
    return {machine["name"]: machine["state"] for machine in line.json("list")}


def test_a_life_on_a_pool(line: Line) -> None:
    checks = {check["check"]: check["status"] for check in line.json("doctor")}
    assert checks["pool"] == checks["storage"] == checks["network"] == "ok" and "fail" not in checks.values()
    assert line("create", "web-{01..03}", "-m", "tiny", "--overlay", "64M").count("created") == 3
    line.pool.log.clear()
    assert states(line) == dict.fromkeys(["web-01", "web-02", "web-03"], "stopped")
    assert line.pool.log.methods() == ["session.login_with_password", "event.from", "session.logout"]
    (shown,) = line.json("show", "web-01")
    assert (shown["network"], shown["bridge"], shown["allocation"]) == ("bridge", "lan", "sparse")
    assert line("start", "web-*").count("ready") == 3
    assert line("wait", "web-01", "--timeout", "20").count("ready") == 1
    (shown,) = line.json("show", "web-01")
    assert (shown["state"], shown["overlay_used"], shown["dax"]) == ("ready", 15_000_000, False)
    assert shown["address"] == "root@10.0.0.5" and len(shown["ssh_host_keys"]) == 1
    kept = [event["event"] for event in line.json("events", "web-01")]
    assert kept == ["started", "ready"]
    assert line("stop", "web-*").count("stopped") == 3
    assert line("delete", "-y", "web-02").count("deleted") == 1 and "web-02" not in states(line)


def test_what_a_pool_has_not_is_said(line: Line) -> None:
    line("create", "odd", "-m", "tiny", "--overlay", "64M", "--start")
    log, screen = line.try_("console", "--log", "odd"), line.try_("console", "odd")
    assert log.code == screen.code == 6 and "keeps nothing" in log.err and "screen" in screen.err
    assert line.try_("create", "x", "-m", "tiny", "--overlay", "64M", "--reserved").code == 6
    passt = line.try_("create", "x", "-m", "tiny", "--overlay", "64M", "--network", "passt")
    assert passt.code == 6 and "passt" in passt.err
    other = line.try_("list", host="qemu")
    assert other.code == 5 and "'xapi'" in other.err
    wrong = line.try_("list", host=line.host.replace("sha256=", "sha256=" + "0" * 64 + ",")[:-66])
    assert wrong.code != 0 and "Traceback" not in wrong.err
    line("delete", "-y", "-f", "odd")


def test_what_is_done_to_disks(line: Line, tmp_path: Path) -> None:
    line("create", "disk-{1..2}", "-m", "tiny", "--overlay", "64M")
    line.pool.log.clear()
    assert line("changes", "--no-headers", "disk-1") == "" and "generation 2" in line("reset", "-y", "disk-1")
    assert line("grow", "disk-1", "96M").count("grown") == 1
    assert line.pool.log.count("export_raw_vdi") == 0  # everybody knows what is on a blank disk
    line("snapshot", "create", "disk-2", "--label", "new")
    line("start", "disk-*")
    line("stop", "disk-*")
    assert line("changes", "--no-headers", "disk-2") == ""
    line("snapshot", "create", "disk-2", "--label", "used")
    assert [kept["label"] for kept in line.json("snapshot", "list", "disk-2")] == ["new", "used"]
    for label in ("used", "new"):
        assert "as it was" in line("snapshot", "restore", "-y", label, "disk-2")
    assert "generation" in line("reset", "-y", "disk-2")
    line("start", "disk-*")
    assert states(line)["disk-1"] == states(line)["disk-2"] == "ready"
    line("delete", "-y", "-f", "disk-*")


def test_capacity_is_told_for_each_kind_of_storage(line: Line) -> None:
    line("create", "promised", "-m", "tiny", "--overlay", "64M")
    told = line.json("capacity", "--fit", "1G", "--machines", "40")
    thin, thick = told["storages"]
    assert (thin["storage"], thin["chosen"]) == ("shared", True) and thick["type"] == "lvmoiscsi"
    assert thick["take"] == 40 * (1032 << 20) and thin["take"] < 1 << 20 < thin["take_full"]
    assert thick["clones_take"] > thick["take"]
    here = line.json("capacity", "--fit", "1G", host=f"{line.host}&sr=san")
    assert here["fit"] == (here["free"] - here["disk"] // 50 - here["owed"]) // (1032 << 20)
    assert here["fit_sparse"] is None and told["fit_sparse"] > told["fit"]
    owed = told["promised"] - told["allocated"]
    assert told["owed"] > owed >= 0  # a VHD written full is larger than its disk
    assert "*shared" in line("capacity")
    line("delete", "-y", "promised")


def test_thick_storage_reserves(line: Line) -> None:
    san = f"{line.host}&sr=san"
    line("create", "thick", "-m", "tiny", "--overlay", "64M", host=san)
    assert line.json("show", "thick")[0]["allocation"] == "reserved"
    assert line.try_("create", "x", "-m", "tiny", "--overlay", "64M", "--sparse", host=san).code == 6
    line("grow", "thick", "96M")  # stays where it is, whatever is chosen now
    with line.pool.database() as database:
        names = [
            database.get("SR", record["SR"], "name_label")
            for record in database.tables["VDI"].values()
            if record["name_label"] == "thick overlay"
        ]
    assert names == ["san"]
    line("delete", "-y", "thick")


FLEET = """
version: 1
fleet: site
defaults: {master: tiny, overlay: 64M, memory: 256M, SEED}
machines:
  "app-{1..2}": {state: STATE}
"""


def test_a_fleet_file(line: Line, tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"

    def apply(state: str, seed: str) -> str:
        file.write_text(FLEET.replace("STATE", state).replace("SEED", seed))
        return line("apply", "-y", str(file))

    assert apply("running", "user: root").count("ready") == 2
    assert line.json("plan", str(file)) == []
    assert apply("stopped", "user: root").count("stopped") == 2
    line.pool.log.clear()
    assert apply("stopped", 'run_once: "true"').count("a new seed") == 2
    assert not line.pool.log.count("*_raw_vdi")  # it is told, not written onto the disk
    assert apply("running", 'run_once: "true"').count("ready") == 2
    assert {each["seed_generation"] for each in line.json("show", "app-{1,2}")} == {3}
    assert apply("stopped", 'run_once: "true"').count("stopped") == 2
    file.write_text(FLEET.replace("STATE", "stopped").replace("SEED", f'run_once: "echo {"x" * 15_000}"'))
    large = line.try_("apply", "-y", str(file))  # more than an overlay has room for, told or not
    assert large.code == 5 and "--reset" in large.err
    line("delete", "-y", "app-*")


@contextmanager
def begun(line: Line, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """Ctrl-C works there, also where this process is in the background and it was switched off."""
    command = ["env", "--default-signal=INT", sys.executable, "-m", "skinnybox", "--host", line.host, *words]
    with subprocess.Popen(command, env=line.environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def until_called(line: Line, method: str, count: int) -> None:
    deadline = time.monotonic() + 60
    while line.pool.log.count(method) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def until_ended(line: Line, method: str) -> None:
    """What a pool has begun it ends, also for who was killed meanwhile."""
    deadline = time.monotonic() + 60
    while not all(entry.ended for entry in line.pool.log.of(method)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_batch_that_is_interrupted(line: Line, how: signal.Signals) -> None:
    """Ctrl-C leaves nothing; what a kill leaves goes with the next command, and that makes all of them."""
    words = ("create", "many-{01..16}", "-m", "tiny", "--overlay", "64M")
    line.pool.faults.slow("VM.create", 0.5)
    line.pool.log.clear()
    with begun(line, *words) as process:
        until_called(line, "VM.create", 10)
        process.send_signal(how)
        _, said = process.communicate(timeout=60)
    line.pool.faults.clear()
    if how is signal.SIGINT:
        assert process.returncode == 130 and "Traceback" not in said
        assert not [name for name in states(line) if name.startswith("many")]
        assert not in_pool(line, "many")
    else:
        assert {state for name, state in states(line).items() if name.startswith("many")} == {"creating"}
        until_ended(line, "VM.create")
    assert line(*words).count("created") == 16
    assert len(in_pool(line, "many")) == 2 * 16
    line("delete", "-y", "many-*")


def in_pool(line: Line, name: str) -> list[str]:
    """Machines and disks."""
    with line.pool.database() as database:
        tables = [*database.tables["VM"].values(), *database.tables["VDI"].values()]
        return [each["name_label"] for each in tables if each["name_label"].startswith(name)]
