"""How QEMU is begun: shut in as it should be, or not at all, and gone with who waits for it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import CommandFailed, NotStarted
from skinnybox.hosts.qemu import doctor
from skinnybox.issues import Check
from skinnybox.sandbox import confinement, jail, machine
from skinnybox.sandbox.confinement import MachineBounds, machine_words, never_began
from skinnybox.sandbox.process import in_force_of_machine
from tests.pace import within
from tests.unit.fake_qemu import LIVES, FakeQemu
from tests.unit.test_run_tied import running

PYTHON = "/usr/bin/python3"
NOWHERE = (jail.LANDLOCK, jail.EMPTY_ROOT)
OURS = MachineBounds(limits={"core": 0}, user=None)
ANOTHERS = MachineBounds(limits={"core": 0}, user=65534)

pytestmark = pytest.mark.skipif(not Path(PYTHON).exists(), reason="no python3 that everyone may run")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """On the way to it nothing is closed to another user."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("user", [None, 65534])
def test_it_is_gone_when_we_are_killed(user: int | None) -> None:
    if user and os.geteuid() != 0:
        pytest.skip("only root may choose the user")
    mark = f"mark-{os.urandom(8).hex()}"
    command = [PYTHON, "-I", "-S", "-c", "import time; time.sleep(100)", mark]
    ours = (
        "from skinnybox import run\nfrom skinnybox.sandbox.confinement import *\n"
        f"bounds = MachineBounds(limits={{'core': 0}}, user={user}, tied=True)\n"
        f"with run.start(machine_words({command!r}, bounds)) as child: child.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", ours]) as process:
        deadline = time.monotonic() + within(30)
        while not any(b"machine.run" not in words_of(pid) for pid in running(mark)):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    while running(mark):
        assert time.monotonic() < deadline, running(mark)
        time.sleep(0.02)


def words_of(pid: str | int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_what_comes_too_late_to_hear_of_our_end_never_begins() -> None:
    """As if we had died between its start and its asking to be told: its parent is another by then."""
    tied = MachineBounds(limits={"core": 0}, user=None, tied=True)
    words = machine_words(["/bin/echo", "begun"], tied)
    late = subprocess.run(["sh", "-c", '"$@"; exit $?', "sh", *words], check=False, capture_output=True)
    assert late.returncode == jail.NOT_SHUT_IN and late.stdout == b""
    assert b"who started this is gone" in late.stderr
    assert run.run(words).stdout == b"begun\n"


@pytest.mark.parametrize("without", [NOWHERE, (jail.FILTER,)])
def test_what_cannot_be_shut_in_is_not_begun_but_where_that_is_said(
    monkeypatch: pytest.MonkeyPatch, without: tuple[str, ...]
) -> None:
    monkeypatch.setattr(confinement, "WITHOUT", without)
    with pytest.raises(CommandFailed) as caught:
        run.run(machine_words(["/bin/echo", "begun"], OURS))
    found = never_began(caught.value.returncode, caught.value.stderr)
    assert isinstance(found, NotStarted) and "confinement = weak" in (found.hint or "")
    assert "/bin/echo could not be confined: " in found.message
    monkeypatch.setattr(confinement, "_weak", True)
    assert run.run(machine_words(["/bin/echo", "begun"], OURS)).stdout == b"begun\n"


def test_a_script_in_qemus_place_is_begun_only_where_that_is_said(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = open_folder / "script"
    script.write_text("#!/bin/sh\ntrue | true; ulimit -c; grep -E '^(Uid|CapBnd|NoNew)' /proc/self/status\n")
    script.chmod(0o755)
    bounds = ANOTHERS if os.geteuid() == 0 else OURS
    with pytest.raises(CommandFailed, match=r"a script\?"):
        run.run(machine_words([str(script)], bounds))
    monkeypatch.setattr(confinement, "_weak", True)
    said = run.run(machine_words([str(script)], bounds)).stdout.decode().split()
    assert said[0] == "0" and said[-1] == "1"
    if os.geteuid() == 0:
        assert said[1:8] == ["Uid:", *["65534"] * 4, "CapBnd:", "0" * 16]


def test_only_such_an_end_is_for_want_of_a_confinement() -> None:
    line = f"/usr/bin/qemu {machine.FAILED}no\x1b[2J"
    found = never_began(jail.NOT_SHUT_IN, f"a line\n{line}\n")
    assert found is not None and "\x1b" not in found.message and found.exit_code == 6
    for code, said in ((1, line), (None, line), (jail.NOT_SHUT_IN, ""), (jail.NOT_SHUT_IN, f"{line}\nmore")):
        assert never_began(code, said) is None


def test_a_program_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(CommandFailed, match="nothing-of-the-kind: no such program"):
        machine_words(["nothing-of-the-kind"], OURS)


@pytest.mark.parametrize("broken", ["exit 3", "sleep 60"])
def test_a_qemu_that_does_not_run_confined_is_not_in_force(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setattr(confinement.Bounds, "waiting", 1.0)
    script = {"exit 3": "raise SystemExit(3)", "sleep 60": "import time; time.sleep(60)"}[broken]
    with pytest.raises(NotStarted, match=r"^the confinement could not be set up: "):
        in_force_of_machine([PYTHON, "-I", "-S", "-c", script], OURS)


@pytest.mark.skipif(run.find("qemu-system-x86_64") is None, reason="needs QEMU")
@pytest.mark.parametrize(
    ("without", "weak", "status", "detail"),
    [
        ((), False, "ok", jail.FILTER),
        ((jail.LANDLOCK,), False, "ok", jail.EMPTY_ROOT),
        (NOWHERE, False, "fail", "could not be set up"),
        (NOWHERE, True, "warn", "weak, as the settings allow: machines run"),
        ((jail.FILTER,), False, "fail", "could not be set up"),
        ((jail.FILTER,), True, "warn", "weak, as the settings allow: machines run"),
    ],
)
def test_doctor_says_how_qemu_is_shut_in(
    monkeypatch: pytest.MonkeyPatch, without: tuple[str, ...], weak: bool, status: str, detail: str
) -> None:
    monkeypatch.setattr(confinement, "WITHOUT", without)
    monkeypatch.setattr(confinement, "_weak", weak)
    found: Check = doctor._confinement()
    assert found.status == status and detail in found.detail
    assert (found.hint is None) == (status == "ok")


@pytest.mark.parametrize("without", [(), (jail.LANDLOCK,)])
def test_a_file_without_a_name_is_opened_anew_or_nothing_begins(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, without: tuple[str, ...]
) -> None:
    """As when the master's folder was moved meanwhile: a root folder of its own cannot have it in it."""
    monkeypatch.setattr(confinement, "WITHOUT", without)
    path = open_folder / "kernel"
    path.write_text("content")
    with path.open("rb") as file:
        path.rename(open_folder / "other")
        path.write_text("another's")
        (open_folder / "other").unlink()
        who = 65534 if os.geteuid() == 0 else None
        bounds = MachineBounds(limits={"core": 0}, user=who, files=[file.fileno()])
        words = machine_words(["cat", confinement.path_of(file.fileno())], bounds)
        if without:
            with pytest.raises(CommandFailed, match="not to be found by its name"):
                run.run(words, pass_fds=[file.fileno()])
        else:
            assert run.run(words, pass_fds=[file.fileno()]).stdout == b"content"


@pytest.mark.parametrize("without", [(), (jail.LANDLOCK,), (jail.EMPTY_ROOT,)])
@pytest.mark.parametrize("length", [32, 3 << 20])
def test_what_is_only_told_never_had_a_name(
    monkeypatch: pytest.MonkeyPatch, without: tuple[str, ...], length: int
) -> None:
    """As a key is: it is opened anew all the same, to be read and no more, and nothing beside it is."""
    monkeypatch.setattr(confinement, "WITHOUT", without)
    secret = os.urandom(length)
    told = os.memfd_create("told", os.MFD_CLOEXEC)
    try:
        os.write(told, secret)
        os.fchmod(told, 0o444)
        who = 65534 if os.geteuid() == 0 else None
        bounds = MachineBounds(limits={"core": 0}, user=who, told=[told])
        place = confinement.path_of(told)
        assert run.run(machine_words(["cat", place], bounds), pass_fds=[told]).stdout == secret
        for refused in (["dd", "if=/dev/null", f"of={place}"], ["cat", "/etc/passwd"]):
            with pytest.raises(CommandFailed):
                run.run(machine_words(refused, bounds), pass_fds=[told])
        assert os.pread(told, length, 0) == secret
    finally:
        os.close(told)


def test_doctor_goes_on_where_no_trial_can_be_made(
    tmp_path: Path, device: Path, qemu: FakeQemu, monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu.does(LIVES)
    monkeypatch.setattr(confinement, "_weak", False)
    sealed = tmp_path / "masters" / "one"
    sealed.mkdir(parents=True)
    (sealed / "kernel").write_bytes(b"a kernel")
    found = {check.name: check for check in doctor.checks(tmp_path)}
    assert "was not tried" in found["acceleration"].detail
    assert found["confinement of QEMU"].status == "fail"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a root folder made beside Landlock")
def test_root_has_it_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """And where it may not have the second, as in many a container, the first is enough."""
    words = ["/bin/true"]
    whole = in_force_of_machine(words, ANOTHERS)
    assert whole[-3:] == [jail.EMPTY_ROOT, jail.NETWORK, jail.FILTER]
    monkeypatch.setattr(confinement, "WITHOUT", (jail.EMPTY_ROOT,))
    if whole[0].startswith(jail.LANDLOCK):
        assert in_force_of_machine(words, ANOTHERS) == [whole[0], jail.NETWORK, jail.FILTER]
