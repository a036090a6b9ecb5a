"""Parsers of foreign bytes: who they are, what they cannot reach, and what becomes of those that run wild."""

import os
from pathlib import Path

import pytest

import skinnybox
from skinnybox import run
from skinnybox.errors import CommandFailed, Corrupt, NotFound, TimedOut
from skinnybox.sandbox import confinement
from skinnybox.sandbox.confinement import Bounds, path_of
from skinnybox.sandbox.process import confined, network_words
from skinnybox.sandbox.reader import inquire, stream

PYTHON = "/usr/bin/python3"
SOURCE = Path(skinnybox.__file__).parent.parent
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has a user to give up")
needs_python = pytest.mark.skipif(not Path(PYTHON).exists(), reason="no python3 that everyone may run")

STATUS = "cat /proc/self/status; echo; cat /proc/self/limits; echo; cat /proc/net/dev; id -G; env; tty; pwd"


def status(text: str) -> dict[str, list[str]]:
    rows = (line.partition(":") for line in text.splitlines() if ":" in line)
    return {key.strip(): value.split() for key, _, value in rows}


def limit(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(name))[26:].split()[0]


def told(*arguments: str, **options: int) -> str:
    return confined(["sh", "-c", STATUS, *arguments], threads=8, **options).stdout.decode()  # type: ignore[arg-type]


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """We wait longer than a second of processor takes on any machine: it is the bound that stops it."""
    monkeypatch.setattr(Bounds, "waiting", 120.0)


def test_a_confined_process_can_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "x")
    text = told(memory=300 << 20, cpu_seconds=7, file_size=4096)
    found = status(text)
    assert found["NoNewPrivs"] == ["1"]
    assert set(found["CapEff"] + found["CapPrm"] + found["CapInh"] + found["CapAmb"]) == {"0" * 16}
    for name, value in (
        ("Max address space", str(300 << 20)), ("Max cpu time", "7"), ("Max file size", "4096"),
        ("Max core file size", "0"), ("Max open files", "64"),
    ):  # fmt: skip
        assert limit(text, name) == value
    assert "SECRET_OF_OURS" not in text
    assert "not a tty" in text
    assert text.splitlines()[-1] == "/"
    if network_words():
        interfaces = [
            line.split(":")[0].strip() for line in text.splitlines() if ": " in line and "|" not in line
        ]
        assert "lo" in interfaces
        assert not [name for name in interfaces if name.startswith(("e", "w"))]


@needs_root
def test_root_becomes_a_user_of_its_own_each_time() -> None:
    first, second = status(told()), status(told())
    for found in (first, second):
        (uid,) = set(found["Uid"])
        assert set(found["Gid"]) == {uid}
        assert found["CapBnd"] == ["0" * 16]
        assert found["Groups"] == []
        assert int(uid) > 60000
    if confinement.user() in range(confinement.FIRST_USER, confinement.FIRST_USER + confinement.USERS):
        assert int(first["Uid"][0]) in range(confinement.FIRST_USER, 1 << 31)
    assert first["Uid"] != second["Uid"]
    assert limit(told(), "Max processes") == "8"


@needs_root
def test_it_may_not_start_processes() -> None:
    with pytest.raises(CommandFailed, match=r"fork|Resource"):
        confined(["sh", "-c", "true & wait; /bin/true; true"])


@pytest.mark.skipif(not network_words(), reason="this machine gives no network namespaces")
def test_it_has_no_network() -> None:
    script = "import socket; socket.create_connection(('127.0.0.1', 22), 2)"
    with pytest.raises(CommandFailed, match="unreachable"):
        confined([PYTHON, "-I", "-S", "-c", script])


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


@pytest.mark.parametrize(
    "script",
    [
        "x = bytearray(1 << 30)",
        "import os; f = os.open('/tmp', os.O_RDWR | os.O_TMPFILE); [os.write(f, b'x' * 60) for _ in 'abc']",
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
    with pytest.raises(CommandFailed) as caught:
        confined(
            [PYTHON, "-I", "-S", "-c", script], memory=200 << 20, file_size=100, cpu_seconds=1, output=1 << 20
        )
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


def test_what_sleeps_is_stopped() -> None:
    with pytest.raises(TimedOut, match="sleep did not end"):
        confined(["sleep", "1000"], cpu_seconds=1)
    with pytest.raises(TimedOut):
        confined(["sh", "-c", "exec >/dev/null; exec sleep 1000"], cpu_seconds=1)


def test_a_watch_may_stop_it() -> None:
    def watch() -> None:
        raise NotFound("enough")

    with pytest.raises(NotFound, match="enough"):
        confined(["sleep", "1000"], watch=watch)


def test_a_missing_program_is_named() -> None:
    with pytest.raises(CommandFailed, match="no-such-thing: no such program"):
        confined(["no-such-thing"])


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
    (tmp_path / "skinnybox").symlink_to(SOURCE / "skinnybox")
    monkeypatch.setattr(confinement, "__file__", str(tmp_path / "skinnybox" / "sandbox" / "confinement.py"))
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


ORDINARY = """
import sys; sys.path.insert(0, sys.argv[1])
from skinnybox.sandbox.process import confined, network_words
print(network_words())
print(confined(["cat", "/proc/self/status"], cpu_seconds=5).stdout.decode())
print(confined(["cat", "/proc/net/dev"]).stdout.decode())
"""


@needs_root
@needs_python
@pytest.mark.usefixtures("for_everyone")
def test_an_ordinary_user_is_nobody_in_a_namespace() -> None:
    words: list[str | Path] = [
        "setpriv",
        "--reuid=54321",
        "--regid=54321",
        "--clear-groups",
        PYTHON,
        "-I",
        "-c",
        ORDINARY,
        SOURCE,
    ]
    text = run.run(words, cwd=Path("/")).stdout.decode()
    found = status(text)
    assert found["NoNewPrivs"] == ["1"]
    assert found["CapEff"] == ["0" * 16]
    if text.startswith("('unshare', '--user', '--net')"):
        assert set(found["Uid"]) == {"65534"}
        assert "lo" in found
        assert not [name for name in found if name.startswith(("eth", "en"))]
    else:
        assert set(found["Uid"]) == {"54321"}


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
