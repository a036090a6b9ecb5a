import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from skinnybox.cli import progress
from skinnybox.cli.main import run_command
from skinnybox.model import Master

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(
    state: Path, master: Master, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Cli:
    """Run a command line on the fake host: exit code, standard output, standard error."""
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = run_command(words)
        except SystemExit as ended:
            code = int(str(ended.code))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


CREATE = ("create", "-m", "tiny", "--sparse", "--overlay", "64M")


def test_the_life_of_a_batch(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: 0.0))
    assert cli(*CREATE, "web-{1..3}")[:2] == (0, "web-1: created\nweb-2: created\nweb-3: created\n")
    code, out, err = cli("start", "web-*")
    assert code == 0
    assert [line.split(" after")[0] for line in out.splitlines()] == [f"web-{n}: ready" for n in (1, 2, 3)]
    assert err == ""  # what takes no time needs no progress
    assert cli("stop", "web-2") == (0, "web-2: stopped\n", "")
    code, out, _ = cli("list")
    assert [line.split()[:3] for line in out.splitlines()] == [
        ["NAME", "STATE", "MASTER"],
        ["web-1", "ready", "tiny:1"],
        ["web-2", "stopped", "tiny:1"],
        ["web-3", "ready", "tiny:1"],
    ]
    assert cli("delete", "--force", "web-*")[0] == 0
    assert cli("list", "--names")[1].strip() == ""


def test_every_format_says_the_same(cli: Cli) -> None:
    cli(*CREATE, "a", "b")
    os.sync()  # what is allocated is known once it is on the disk
    as_json = json.loads(cli("list", "--format", "json")[1])
    assert yaml.safe_load(cli("list", "--format", "yaml")[1]) == as_json
    rows = list(csv.DictReader(io.StringIO(cli("list", "--format", "csv")[1])))
    assert [row["name"] for row in rows] == [record["name"] for record in as_json] == ["a", "b"]
    assert as_json[0]["overlay"] == 64 << 20
    for names in (["a"], ["a*"], ["a", "b"]):  # a list, however many are named or matched
        assert json.loads(cli("show", *names, "--format", "json")[1]) == as_json[: 1 + names.count("b")]
        assert yaml.safe_load(cli("show", *names, "--format", "yaml")[1]) == as_json[: 1 + names.count("b")]
    assert not cli("list", "--no-headers")[1].startswith("NAME")


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("create", "Web", "-m", "tiny"), 2, "'Web' is not a machine name"),
        (("create", "a", "-m", "tiny", "--overlay", "big"), 2, "'big' is not a size"),
        (("create", "a", "-m", "nothing"), 3, "no master nothing"),
        (("show", "nothing"), 3, "no machine named nothing"),
        (("start", "x-*"), 3, "no machine matches"),
        (("delete", "one"), 2, "not done without a yes"),
        (("create", "one", "-m", "tiny"), 4, "1 of 1 names are taken"),
        (("master", "remove", "tiny"), 5, "is the master of one"),
        (("create", "a", "-m", "tiny", "--overlay", "900T"), 7, "reserved overlays need"),
        (("create", "a", "-m", "tiny", "--gateway", "10.0.0.1"), 2, "go with --address"),
        (("exec", "one"), 2, "needs a command"),
        (("create", "a", "-m", "tiny", "--file", "/etc/hosts:relative"), 2, "absolute path"),
        (("--host", "moon", "list"), 2, "'moon' is no kind of host"),
    ],
)
def test_errors_have_a_reason_and_an_exit_code(cli: Cli, words: tuple[str, ...], code: int, why: str) -> None:
    cli(*CREATE, "one")
    found, out, err = cli(*words)
    assert (found, out) == (code, "")
    assert why in err
    assert "Traceback" not in err
    assert cli("list", "--names")[1] == "one\n"


def test_a_batch_ends_with_the_worst_of_its_items(cli: Cli) -> None:
    cli(*CREATE, "a", "b")
    cli("start", "a")
    code, out, err = cli("reset", "--yes", "a", "b")
    assert code == 5
    assert out == "b: reset, generation 2\n"
    assert "a is ready: reset needs it stopped" in err


def test_changes_differ_only_with_exit_code(cli: Cli) -> None:
    cli(*CREATE, "a")
    assert cli("changes", "a", "--exit-code")[0] == 0
    assert json.loads(cli("changes", "a", "--format", "json")[1]) == []


def test_dry_run_only_prints_names(cli: Cli) -> None:
    assert cli(*CREATE, "{db,www}-{1..2}", "--dry-run")[1].split() == ["db-1", "db-2", "www-1", "www-2"]
    assert cli("list", "--names")[1].strip() == ""


def test_masters_are_listed_shown_and_verified(cli: Cli, state: Path, master: Master) -> None:
    assert "tiny:1" in cli("master", "list")[1]
    shown = json.loads(cli("master", "show", "tiny", "--format", "json")[1])
    assert shown["id"] == master.id
    assert cli("master", "verify", "tiny")[0] == 0
    image = Path(shown["folder"]) / "root.erofs"
    image.chmod(0o644)
    with image.open("r+b") as file:
        file.seek(2000)
        byte = file.read(1)[0]
        file.seek(2000)
        file.write(bytes([byte ^ 1]))
    code, _, err = cli("master", "verify", "tiny")
    assert code == 1
    assert "root.erofs" in err


def test_the_console_relays_a_pipe(cli: Cli, state: Path) -> None:
    cli(*CREATE, "a", "--start")
    argv = [sys.executable, "-m", "skinnybox", "--state", str(state), "--host", "fake", "console", "a"]
    done = subprocess.run(argv, input=b"hello\x1drest", capture_output=True, timeout=60, check=True)
    assert b"rest" not in done.stdout
    assert b"detached from a" in done.stderr


def test_doctor_and_capacity(cli: Cli) -> None:
    cli(*CREATE, "a")
    assert cli("doctor")[0] == 0
    values = json.loads(cli("capacity", "--format", "json")[1])
    assert values["promised"] == 64 << 20
    assert values["machines"] == 1


def test_completion_scripts_are_valid_shell(cli: Cli, tmp_path: Path) -> None:
    script = tmp_path / "complete.bash"
    script.write_text(cli("completion", "bash")[1])
    subprocess.run(["bash", "-n", script], check=True)
    assert "__complete machines" in script.read_text()


def test_names_are_completed_without_the_rest(cli: Cli, state: Path) -> None:
    cli(*CREATE, "a", "b")
    argv = [sys.executable, "-X", "importtime", "-m", "skinnybox", "__complete"]
    environment = {"SKINNYBOX_STATE": str(state), "PATH": "/usr/bin:/bin"}
    machines = subprocess.run(
        [*argv, "machines"], capture_output=True, env=environment, text=True, check=True
    )
    assert machines.stdout == "a\nb\n"
    assert "skinnybox.fleet.service" not in machines.stderr
    masters = subprocess.run([*argv, "masters"], capture_output=True, env=environment, text=True, check=True)
    assert masters.stdout == "tiny:1\n"


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="its argparse writes options otherwise")
def test_the_reference_page_is_what_the_commands_say() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, root / "script" / "cli-reference", "--check"], check=False)
    assert done.returncode == 0


def test_a_bug_is_called_one(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from skinnybox.cli import render

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("for the test")

    monkeypatch.setattr(render, "emit", broken)
    code, _, err = cli("list")
    assert code == 70
    assert "please report" in err
