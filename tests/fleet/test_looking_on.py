"""Who only looks leaves nothing behind: no state folder where there is none."""

from pathlib import Path

import pytest

from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.settings import Settings
from tests.fleet.conftest import SPARSE, said
from tests.samples import seal

LOOKING = (
    "list", "show x", "doctor", "capacity", "master list", "master show x", "master verify x",
    "master remove x", "master diff x y", "master gc", "events", "snapshot list", "snapshot create x",
    "changes x", "repair",
    "plan FILE", "apply --dry-run FILE", "create --dry-run a -m x", "start x", "start --autostart", "stop x",
    "kill x", "restart x", "wait x", "delete -y x", "console x", "ssh x", "exec x -- ls", "autostart on x",
    "autostart unit", "set x --cpus 2", "flatten x OUT", "export x OUT", "seed-disk x OUT",
    "grow x 2G", "reset -y x",
    "completion bash",
)  # fmt: skip


@pytest.mark.parametrize("words", LOOKING)
def test_no_folder_is_made(words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state, file = tmp_path / "no" / "state", tmp_path / "fleet.yaml"
    file.write_text("version: 1\nfleet: f\nmachines:\n  web-{1..2}: {master: x}\n")
    line = [{"FILE": str(file), "OUT": str(tmp_path / "out")}.get(word, word) for word in words.split()]
    ended = said(capsys, "--state", str(state), "--host", "fake", *line)
    assert ended.code in (0, 1, 3) and "Traceback" not in ended.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fleet.yaml"]


def test_what_another_makes_meanwhile_is_seen(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path / "state", host="fake")
    with open_fleet(settings) as looking:
        assert looking.machines() == []
        assert not settings.state.exists()
        seal(settings.state, tmp_path, "tiny", "1")
        with open_fleet(settings) as making:
            making.create(["a"], "tiny", SPARSE)
        assert [machine.name for machine in looking.machines()] == ["a"]


def test_a_plan_makes_no_key_and_does_as_apply(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What stands for the key in a plan is in no machine."""
    state, file = tmp_path / "state", tmp_path / "fleet.yaml"
    seal(state, tmp_path, "tiny", "1")
    file.write_text("version: 1\nfleet: f\nmachines:\n  a: {master: tiny, overlay: 64M, sparse: true}\n")
    common = ("--state", str(state), "--host", "fake")
    assert "create" in said(capsys, *common, "plan", str(file)).out
    assert not (state / "ssh").exists() and not (state / "state.db").exists()
    assert said(capsys, *common, "apply", "--no-wait", str(file)).code == 0
    assert said(capsys, *common, "plan", "--exit-code", str(file)).code == 0


def test_a_state_folder_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    ended = said(capsys, "--state", str(tmp_path / "file" / "state"), "--host", "fake", "list")
    assert (
        ended.code == 1
        and "cannot be used" in ended.err
        and "a file where a folder should be" in ended.err
        and "hint: --state" in ended.err
    )
