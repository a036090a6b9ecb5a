"""Parsers of foreign bytes: who they are, what they cannot reach, and what becomes of those that run wild."""

import contextlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

import skinnybox
from skinnybox.errors import CommandFailed, Corrupt, NotFound, NotStarted, TimedOut, Unsupported
from skinnybox.sandbox import confinement, system_calls
from skinnybox.sandbox.confinement import Bounds, path_of
from skinnybox.sandbox.process import confined, in_force
from skinnybox.sandbox.reader import ask, inquire, stream

PYTHON = "/usr/bin/python3"
SOURCE = Path(skinnybox.__file__).parent.parent
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has a user to give up")
needs_python = pytest.mark.skipif(not Path(PYTHON).exists(), reason="no python3 that everyone may run")

# Of itself, with what is left to it: /proc is not.
STATUS = """
import ctypes, json, os, resource
libc, header = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522, 0)
libc.capget(header, found := (ctypes.c_uint32 * 6)())
limits = {name: getattr(resource, "RLIMIT_" + name)
          for name in ("AS", "CPU", "FSIZE", "CORE", "NOFILE", "NPROC")}
print(json.dumps({
    "privileges": [libc.prctl(39, 0, 0, 0, 0), *found, *(libc.prctl(24 - 1, n, 0, 0, 0) for n in range(41))],
    "filter": libc.prctl(21, 0, 0, 0, 0),
    "uid": os.getresuid(), "gid": os.getresgid(), "groups": os.getgroups(),
    "limits": {name: resource.getrlimit(number) for name, number in limits.items()},
    "environment": dict(os.environ), "terminals": [n for n in range(3) if os.isatty(n)], "cwd": os.getcwd(),
    "files": [n for n in range(3, 64) if libc.fcntl(n, 1) >= 0],
}))
"""


def told(**options: int) -> dict[str, Any]:
    words = [PYTHON, "-I", "-S", "-c", STATUS]
    found: dict[str, Any] = json.loads(confined(words, **options).stdout)  # type: ignore[arg-type]
    return found


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """We wait longer than a second of processor takes on any machine: it is the bound that stops it."""
    monkeypatch.setattr(Bounds, "waiting", 120.0)


@needs_python
def test_a_confined_process_can_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "x")
    found = told(memory=300 << 20, cpu_seconds=7, file_size=4096)
    assert found["privileges"] == [1, *[0] * 47]
    assert found["filter"] == 2
    limits = {"AS": 300 << 20, "CPU": 7, "FSIZE": 4096, "CORE": 0, "NOFILE": 64}
    assert {name: tuple(found["limits"][name]) for name in limits} == {
        name: (value, value) for name, value in limits.items()
    }
    assert set(found["environment"]) <= {"PATH", "LC_ALL"}
    assert (found["terminals"], found["cwd"], found["files"]) == ([], "/", [])


@needs_root
@needs_python
def test_root_becomes_a_user_of_its_own_each_time() -> None:
    first, second = told(), told(threads=8)
    for found in (first, second):
        (uid,) = set(found["uid"])
        assert set(found["gid"]) == {uid}
        assert found["groups"] == []
        assert uid > 60000
    if confinement.user() in range(confinement.FIRST_USER, confinement.FIRST_USER + confinement.USERS):
        assert first["uid"][0] in range(confinement.FIRST_USER, 1 << 31)
    assert first["uid"] != second["uid"]
    assert second["limits"]["NPROC"] == [8, 8]


@needs_python
def test_it_may_not_start_processes_and_threads_only_as_told() -> None:
    for script, threads in (
        ("import os; os.fork()", 8),
        ("import os; os.execv('/bin/true', ['true'])", 8),
        ("import threading; threading.Thread(target=int).start()", 1),
    ):
        with pytest.raises(CommandFailed, match=r"not permitted|denied|can't start new thread"):
            confined([PYTHON, "-I", "-S", "-c", script], threads=threads)
    confined([PYTHON, "-I", "-S", "-c", script], threads=2)


@needs_python
def test_it_has_one_folder_where_we_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, other = tmp_path / "ours", tmp_path / "other"
    for folder in (ours, other):
        folder.mkdir()
        folder.chmod(0o777)
    script = (
        "import os, sys; os.mkdir(sys.argv[1] + '/a'); open(sys.argv[1] + '/a/b', 'w').write('c');"
        "os.rename(sys.argv[1] + '/a/b', sys.argv[1] + '/d'); open(sys.argv[1] + '/d').read()"
    )
    words = [PYTHON, "-I", "-S", "-c", script]
    for without in ((), ("Landlock",)):
        monkeypatch.setattr(confinement, "WITHOUT", without)
        confined([*words, "."], folder=ours, file_size=100)
        assert (ours / "d").read_text() == "c"
        shutil.rmtree(ours / "a")
        for refused in ("..", "../other", str(other), "/tmp"):
            with pytest.raises(CommandFailed, match=r"denied|Read-only|No such file"):
                confined([*words, refused], folder=ours, file_size=100)
    assert not list(other.iterdir())


@needs_root
def test_a_private_file_may_be_opened_anew_and_others_not(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    for file in (mine, other):
        file.write_text("text")
        file.chmod(0o600)
    with mine.open("rb") as one, other.open("rb") as two:
        path = path_of(one.fileno())
        assert confined(["cat", path], owned=[one.fileno()]).stdout == b"text"
        with pytest.raises(CommandFailed, match="denied"):
            confined(["cat", path_of(two.fileno())], pass_fds=[two.fileno()])
    for secret in ("/etc/shadow", str(mine)):
        with pytest.raises(CommandFailed, match="denied"):
            confined(["cat", secret])


@needs_python
@pytest.mark.parametrize("without", [(), ("Landlock",)], ids=["landlock", "empty-root"])
def test_a_file_in_memory_is_handed_like_any_other(
    monkeypatch: pytest.MonkeyPatch, without: tuple[str, ...]
) -> None:
    """The kernel knows no path to it, so no rule about one can be made."""
    monkeypatch.setattr(confinement, "WITHOUT", without)
    with os.fdopen(os.memfd_create("handed"), "w+b", buffering=0) as file:
        file.write(b"text")
        file.seek(0)
        script = f"import os; print(os.read({file.fileno()}, 9))"
        ended = confined([PYTHON, "-I", "-S", "-c", script], pass_fds=[file.fileno()])
    assert ended.stdout == b"b'text'\n"


@pytest.mark.parametrize(
    "script",
    [
        "x = bytearray(1 << 30)",
        "import os, sys; [os.write(int(sys.argv[1]), b'x' * 60) for _ in 'abc']",
        "while True: pass",
        "import os\nwhile True: os.write(1, b'x' * 65536)",
        "import os\nwhile True: os.write(1, b'\\n')",
        "import os\nwhile True:\n try: os.write(2, b'\\x1b[31mx' * 9999)\n except OSError: pass",
        "import os, sys; [os.dup(0) for _ in range(100)]",
        "def f(): return f()\nimport sys; sys.setrecursionlimit(1 << 30); f()",
    ],
    ids=["memory", "file", "processor", "output", "small output", "errors", "descriptors", "stack"],
)
def test_what_runs_wild_is_stopped(script: str, patient: None) -> None:
    with pytest.raises(CommandFailed) as caught, tempfile.TemporaryFile() as file:
        confined(
            [PYTHON, "-I", "-S", "-c", script, str(file.fileno())],
            memory=200 << 20, file_size=100, cpu_seconds=1, output=1 << 20, owned=[file.fileno()],
        )  # fmt: skip
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


def test_what_sleeps_is_stopped() -> None:
    with pytest.raises(TimedOut, match="sleep did not end"):
        confined(["sleep", "1000"], cpu_seconds=1)
    with pytest.raises(TimedOut):
        confined([PYTHON, "-I", "-S", "-c", "import os, time; os.close(1); time.sleep(1000)"], cpu_seconds=1)


def test_a_watch_may_stop_it() -> None:
    def watch() -> None:
        raise NotFound("enough")

    with pytest.raises(NotFound, match="enough"):
        confined(["sleep", "1000"], watch=watch)


def test_a_missing_program_is_named() -> None:
    with pytest.raises(NotStarted, match="no-such-thing: no such program"):
        confined(["no-such-thing"])


HERE = ["Landlock", "an empty root"]
FILTER = ["a filter of system calls"]


@pytest.mark.parametrize(
    ("without", "said"),
    [(HERE, "no Landlock, and no root of its own"), (FILTER, "no filter"), ([*HERE, *FILTER], "Landlock")],
)
def test_without_confinement_nothing_is_read_unless_it_is_said(
    monkeypatch: pytest.MonkeyPatch, without: list[str], said: str
) -> None:
    monkeypatch.setattr(confinement, "WITHOUT", tuple(without))
    for start in (
        lambda: confined(["cat"]),
        in_force,
        lambda: ask("skinnybox.sandbox.nothing", [], subject="disk", bounds=Bounds(), pass_fds=[]),
    ):
        with pytest.raises(NotStarted, match=rf"^the confinement could not be set up: .*{said}") as caught:
            start()
        assert "confinement = weak" in (caught.value.hint or "")
    monkeypatch.setattr(confinement, "_weak", True)
    assert confined(["cat"]).stdout == b""
    left = in_force()
    assert not set(left) & set(without)
    assert "no network" in left or os.geteuid() != 0


def test_what_is_in_force_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    first, *others = in_force()
    assert first.startswith("Landlock ") or first == "an empty root"
    assert others[-1] == "a filter of system calls"
    monkeypatch.setattr(confinement, "WITHOUT", ("Landlock",))
    assert in_force() == ["an empty root", "no network", "a filter of system calls"]


@pytest.mark.parametrize("broken", ["interpreter", "limit", "folder", "script"])
def test_a_confinement_that_fails_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """What was to be read has no part in it, and is not blamed."""
    words: list[str | Path] = ["cat"]
    handed: list[int] = []
    with contextlib.ExitStack() as stack:
        if broken == "interpreter":
            monkeypatch.setattr(confinement, "_PACKAGES", tmp_path)
        elif broken == "limit":
            monkeypatch.setattr(confinement, "FIRST_USER", 1 << 40)
            monkeypatch.setattr(confinement, "user", lambda: 1 << 40)
        elif broken == "folder":
            handed = [os.open(tmp_path, os.O_RDONLY)]
            stack.callback(os.close, handed[0])
        else:
            words = [tmp_path / "script"]
            (tmp_path / "script").write_text("#!/bin/sh\n" + "# nothing\n" * 20)
            (tmp_path / "script").chmod(0o755)
        with pytest.raises(NotStarted, match=r"^the confinement could not be set up: "):
            confined(words, pass_fds=handed)
        if broken != "script":
            with pytest.raises(NotStarted, match=r"^the confinement could not be set up: "):
                ask("skinnybox.overlays.inspect", [], subject="disk", bounds=Bounds(), pass_fds=handed)


def test_a_filter_knows_the_numbers_of_this_machine() -> None:
    """Those that were written down, beside those that the kernel's own headers have, where they are."""
    headers = {
        0: Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        1: Path("/usr/include/asm-generic/unistd.h"),
    }
    for column, header in headers.items():
        if not header.exists():
            pytest.skip(f"there is no {header}")
        rows = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)$", header.read_text(), re.MULTILINE)
        known = {name: int(number) for name, number in rows}
        ours = system_calls.numbers(column)
        assert ours == {name: known[name] for name in ours}
        assert not set(system_calls.numbers(0)) & set(known) - set(ours)
        single = [system_calls._CLONE, *system_calls._TO_ITSELF_ONLY, system_calls._OF_ITSELF_ONLY]
        names = ["clone", "kill", "tgkill", "prlimit64"]
        assert [numbers[column] for numbers in single] == [known[name] for name in names]
        assert [system_calls._FCNTL[column], system_calls._IOCTL[column]] == [known["fcntl"], known["ioctl"]]


def test_a_machine_whose_numbers_nobody_wrote_down_is_refused() -> None:
    with pytest.raises(OSError, match="none is known for vax"):
        system_calls.program("vax", 1, 1)


# What a reader in a confined child may be made to do by what it reads; `main` is called there.
WILD = {
    "killed": "import os; os.kill(os.getpid(), 9)",
    "crashed": "raise RuntimeError('x')",
    "endless": "while True: print('[1]' * 1000)",
    "long": "print('[' + '1,' * 200000 + '1]')",
    "deep": "print('[' * 100000)",
    "cut": "print('[1', end='')",
    "nonsense": "print('\\x00\\xff')",
    "number": "print('1' * 10000)",
    "spins": "while True: pass",
    "memory": "x = bytearray(1 << 30)",
    "lies": 'print(\'{"error": "SystemExit", "message": "\\\\u001b[31m", "hint": null}\')',
}


@pytest.fixture
def wild(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose modules misbehave, beside ours."""
    for name, script in WILD.items():
        body = "\n".join(f"    {line}" for line in script.splitlines())
        (tmp_path / f"wild_{name}.py").write_text(f"def main(arguments):\n{body}\n")
    (tmp_path / "wild_kind.py").write_text(
        "from skinnybox.sandbox.reader import answer\nfrom skinnybox.errors import NotFound\n"
        "def values():\n    yield {'uid': __import__('os').getresuid()}\n    raise NotFound('gone')\n"
        "def main(arguments): answer(values())\n"
    )
    (tmp_path / "wild_feature.py").write_text(
        "from skinnybox.sandbox.reader import answer\nfrom skinnybox.errors import Unsupported\n"
        "def values():\n    yield 1\n    raise Unsupported('no such feature')\n"
        "def main(arguments): answer(values())\n"
    )
    (tmp_path / "skinnybox").symlink_to(SOURCE / "skinnybox")
    monkeypatch.setattr(confinement, "_PACKAGES", tmp_path)
    return tmp_path


SMALL = Bounds(memory=200 << 20, cpu_seconds=1, output=1 << 20)


@pytest.mark.parametrize("name", WILD)
def test_a_reader_that_was_taken_over_is_corrupt_input(wild: Path, name: str) -> None:
    with (
        pytest.raises(Corrupt, match=r"^disk: ") as caught,
        inquire(f"wild_{name}", [], subject="disk", bounds=SMALL, pass_fds=[]) as answers,
    ):
        list(answers)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("name", ["killed", "crashed", "endless", "spins", "memory"])
def test_the_same_where_bytes_are_streamed(wild: Path, name: str) -> None:
    with (
        pytest.raises(Corrupt, match=r"^disk: "),
        stream(f"wild_{name}", [], subject="disk", bounds=SMALL, pass_fds=[]) as pieces,
    ):
        for _ in pieces:
            pass


def test_what_is_not_supported_is_neither_damage_nor_a_failed_confinement(wild: Path) -> None:
    with (
        pytest.raises(Unsupported, match=r"^disk: no such feature$") as caught,
        inquire("wild_feature", [], subject="disk", bounds=Bounds(), pass_fds=[]) as answers,
    ):
        list(answers)
    assert caught.value.hint is None


def test_a_reader_drops_its_user_and_its_errors_arrive(wild: Path) -> None:
    with inquire("wild_kind", [], subject="disk", bounds=Bounds(), pass_fds=[]) as answers:
        who = set(next(answers)["uid"])
        if os.geteuid() == 0:
            assert who.isdisjoint({0})
        with pytest.raises(NotFound, match="disk: gone"):
            next(answers)


def test_a_reader_is_gone_when_the_block_is_left(wild: Path) -> None:
    before = set(_children())
    with stream("wild_endless", [], subject="disk", bounds=SMALL, pass_fds=[]) as pieces:
        next(pieces)
        assert set(_children()) - before
    assert set(_children()) == before


def _children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


@pytest.mark.parametrize(("ids", "low", "high"), [(65536, 64508, 65532), (4096, 3068, 4092), (1028, 1, 1024)])
def test_in_a_namespace_it_is_one_of_the_last_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ids: int, low: int, high: int
) -> None:
    maps = tmp_path / "map"
    maps.write_text(f"         0     100000 {ids:>10}\n")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(confinement, "_MAPS", (maps, maps))
    found = {confinement.user() for _ in range(3000)}
    assert None not in found and len(found) > 500
    assert low <= min(map(int, filter(None, found))) and max(map(int, filter(None, found))) <= high
    maps.write_text("         0     100000       1027\n")
    assert confinement.user() is None
    maps.write_text("         0          0 4294967295\n")
    assert confinement.user() in range(confinement.FIRST_USER, confinement.FIRST_USER + confinement.USERS)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert confinement.user() is None
