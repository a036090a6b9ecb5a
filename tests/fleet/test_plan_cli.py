"""plan, apply and set as commands."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from skinnybox.cli.main import run_command
from skinnybox.model import Master
from tests.samples import PUBLIC_KEY

Cli = Callable[..., tuple[int, str, str]]

ROOT = Path(__file__).parents[2]
FILE = """\
version: 1
fleet: widgets
defaults: {master: tiny, overlay: 64M, sparse: true}
machines:
  web-{1..2}: {state: running, address: 10.7.0.5/24}
  db: {memory: 1G, cpus: 2}
"""


@pytest.fixture
def cli(
    state: Path, master: Master, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Cli:
    """Run a command line on the fake host: exit code, standard output, standard error."""
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")

    def run(*words: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run_command([str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.yaml"
    path.write_text(FILE)
    return path


def test_plan_shows_and_apply_does(cli: Cli, file: Path) -> None:
    code, out, err = cli("plan", file)
    assert (code, err) == (0, "3 to create, 2 to start\n")
    assert [line.split(maxsplit=2) for line in out.splitlines()] == [
        ["ACTION", "NAME", "DETAIL"],
        ["create", "web-1", "tiny:1, overlay 64.0M sparse, memory 512.0M, 10.7.0.5/24"],
        ["create", "web-2", "tiny:1, overlay 64.0M sparse, memory 512.0M, 10.7.0.6/24"],
        ["create", "db", "tiny:1, overlay 64.0M sparse, memory 1.0G, 2 cpus"],
        ["start", "web-1"],
        ["start", "web-2"],
    ]
    assert cli("apply", file, "--dry-run")[:2] == (0, out)
    assert cli("plan", file, "--exit-code")[0] == 10
    code, out, err = cli("apply", file)
    assert code == 0
    assert [line.split(" after")[0] for line in out.splitlines()] == [
        "web-1: created", "web-2: created", "db: created", "web-1: ready", "web-2: ready",
    ]  # fmt: skip
    assert cli("plan", file, "--exit-code") == (0, "", "nothing to do\n")
    assert cli("apply", file) == (0, "", "nothing to do\n")


def test_every_format_says_the_same(cli: Cli, file: Path) -> None:
    cli("apply", file, "-q")
    file.write_text(FILE.replace("memory: 1G", "memory: 2G").replace("web-{1..2}", "web-1"))
    as_json = json.loads(cli("plan", file, "--format", "json")[1])
    assert yaml.safe_load(cli("plan", file, "--format", "yaml")[1]) == as_json
    rows = list(csv.DictReader(io.StringIO(cli("plan", file, "--format", "csv")[1])))
    assert [(r["action"], r["name"]) for r in rows] == [("set", "db"), ("extra", "web-2")]
    assert as_json[0]["changes"] == [{"what": "memory", "before": 1 << 30, "after": 2 << 30}]
    assert "--prune" in as_json[1]["detail"]


def test_what_is_blocked_is_said_and_has_its_exit_code(cli: Cli, file: Path) -> None:
    cli("apply", file, "-q")
    file.write_text(FILE.replace("64M", "32M").replace("cpus: 2", "cpus: 3"))
    code, out, err = cli("plan", file)
    assert (code, err) == (5, "1 to set, 3 blocked\n")
    assert "never shrinks" in out
    assert cli("plan", file, "--exit-code")[0] == 5
    code, out, err = cli("apply", file)
    assert (code, out) == (5, "db: cpus 2 -> 3\n")  # the rest is done
    assert "web-1: overlay 64.0M -> 32.0M: an overlay never shrinks" in err
    assert "hint: --recreate web-1 makes it anew" in err


def test_what_loses_data_is_asked_about(cli: Cli, file: Path) -> None:
    cli("apply", file, "-q")
    file.write_text(FILE.replace("  db:", "  db-2:"))
    words: tuple[str | Path, ...] = ("apply", file, "--prune", "--recreate", "web-*")
    code, out, err = cli(*words)
    assert (code, out) == (2, "")
    assert "delete db and all that is theirs; delete web-1, web-2 and make them anew" in err
    code, out, err = cli("apply", file)
    assert (code, out) == (0, "db-2: created\n")
    assert "not in the file any more, and left alone without --prune: db" in err
    code, out, err = cli(*words, "--yes")
    assert code == 0
    assert out.splitlines()[:3] == ["db: deleted", "web-1: made anew", "web-2: made anew"]
    assert cli("plan", file, "--exit-code")[0] == 0


def test_mistakes_are_told_with_their_places(cli: Cli, file: Path, tmp_path: Path) -> None:
    file.write_text(FILE.replace("fleet:", "fleat:").replace("cpus: 2", "cpus: two, memroy: 1G"))
    for command in ("plan", "apply"):
        code, out, err = cli(command, file)
        assert (code, out) == (2, "")
        assert err.splitlines()[:5] == [
            f"skinnybox: 4 mistakes in {file}",
            f"{file}:1:1: 'fleet' is missing",
            f"{file}:2:1: 'fleat' is not known here: did you mean fleet?",
            f"{file}:6:26: cpus: expected a whole number, not 'two'",
            f"{file}:6:31: 'memroy' is not known here: did you mean memory?",
        ]
    assert cli("plan", tmp_path / "none.yaml")[0] == 3
    assert cli("plan")[0] == 2
    file.write_text(FILE.replace("tiny", "huge"))
    code, _, err = cli("plan", file)
    assert code == 3
    assert f"{file}:3:20: no master huge" in err


def test_the_schema_is_printed_without_a_file(cli: Cli) -> None:
    code, out, _ = cli("plan", "--schema")
    assert code == 0
    assert out == (ROOT / "docs/reference/fleet.schema.json").read_text()


def test_set_changes_in_place(cli: Cli, file: Path) -> None:
    cli("apply", file, "-q")
    assert cli("set", "db", "--memory", "2G", "--cpus", "4")[:2] == (0, "db: changed\n")
    code, out, _ = cli("set", "web-*", "--network", "open")
    assert (code, out.splitlines()[0]) == (0, "web-1: changed; it takes effect at its next start")
    (shown,) = json.loads(cli("show", "db", "--format", "json")[1])
    assert (shown["memory"], shown["cpus"]) == (2 << 30, 4)
    assert cli("set", "web-1", "--network", "default")[0] == 0
    assert cli("set", "db")[0] == 2
    assert cli("set", "db", "--memory", "1K")[0] == 2
    assert cli("set", "none", "--cpus", "1")[0] == 3
    assert cli("set", "db", "--bridge", "br9")[0] == 3
    code, out, _ = cli("plan", file)
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [["set", "web-2"], ["set", "db"]]


def test_the_examples_in_the_documents_are_fleet_files(tmp_path: Path, cli: Cli) -> None:
    from skinnybox.fleet.spec.reading import parse

    for name in ("admin.pub", "widgets.conf", "first-start.sh"):
        (tmp_path / name).write_text(f"{PUBLIC_KEY}\n")
    found = 0
    for page in ("docs/how-to/fleet-file.md", "docs/reference/fleet-file.md"):
        for block in (ROOT / page).read_text().split("```yaml\n")[1:]:
            text = block.partition("```")[0]
            if "version:" in text:
                assert parse(text.encode(), tmp_path / "f").machines
                found += 1
    assert found >= 2


def test_no_room_is_said_once(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(FILE.replace("64M, sparse: true", "900T").replace(", address: 10.7.0.5/24", ""))
    refused = "skinnybox: 3 reserved overlays need 2700.0T; "
    for words in (("plan",), ("apply", "--dry-run"), ("apply", "-y")):
        code, out, said = cli(*words, file)
        assert (code, said.count("reserved overlays"), said.count("hint:")) == (7, 1, 1), words
        assert refused in said
        assert out.count("create") == (0 if "-y" in words else 3), "what would be made is shown all the same"
