"""Command lines as they were typed before: each does what it did, and says how it is written now."""

import json
from collections.abc import Iterator

import pytest

from skinnybox.cli.former import in_words_of_today
from skinnybox.fleet.service import Fleet
from tests.fleet.conftest import SPARSE, Said, said

# What was typed, and the same in the words of today.
FORMER = {
    "snapshot web": "snapshot create web",
    "snapshot web db --label one": "snapshot create web db --label one",
    "snapshot --label=one web": "snapshot create web --label one",
    "snapshot web -q": "snapshot create web --quiet",
    "snapshot --list": "snapshot list",
    "snapshot --list web --format json --no-headers": "snapshot list web --format json --no-headers",
    "snapshot --restore one web": "snapshot restore one web",
    "snapshot web --restore one db -y": "snapshot restore one web db --yes",
    "snapshot -y --delete one web": "snapshot delete one web --yes",
    "snapshot --del one web --state /there --host fake --debug": (
        "snapshot delete one web --state /there --host fake --debug"
    ),
    "changes web --live": "changes web",
    "changes --live --format json web": "changes --format json web",
}
NEVER_FORMER = (
    "changes web", "list changes --live",
    "snapshot", "snapshot -h", "snapshot list", "snapshot create web", "snapshot restore one web --yes",
    "snapshot delete -y one web", "list snapshot --names", "start web", "exec snapshot", "--version", "",
)  # fmt: skip
WRONG = ("snapshot --restore", "snapshot --list --delete one", "snapshot --nothing", "--nothing snapshot web")


@pytest.fixture(autouse=True)
def _machine(fleet: Fleet, state: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")
    fleet.create(["web"], "tiny", SPARSE)
    yield


@pytest.mark.parametrize("typed", FORMER)
def test_each_becomes_the_words_of_today(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    today = FORMER[typed]
    for before in ("", "--host fake -q ", "--state=/a --debug "):
        quiet = {"-q", "--quiet"}.intersection((before + typed).split())
        assert in_words_of_today((before + typed).split()) == (before + today).split()
        note = "" if quiet else f"skinnybox: this is now: skinnybox {today}\n"
        assert capsys.readouterr() == ("", note)


@pytest.mark.parametrize("typed", [*NEVER_FORMER, *WRONG])
def test_what_was_never_written_otherwise_stays(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert in_words_of_today(typed.split()) == typed.split()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("typed", WRONG)
def test_what_was_wrong_is_told_in_the_words_of_today(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    ended = said(capsys, *typed.split())
    assert ended.code == 2 and "--list" not in ended.err.splitlines()[0]


def test_snapshots_are_kept_and_put_back_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    def run(words: str) -> Said:
        ended = said(capsys, *words.split())
        assert ended.code == 0 and "this is now" in ended.err
        return ended

    assert run("snapshot web --label one").out.startswith("web: snapshot one, ")
    assert [each["label"] for each in json.loads(run("snapshot --list --format json").out)] == ["one"]
    assert run("snapshot --restore one web --yes").out == "web: is as it was at snapshot one\n"
    assert said(capsys, "snapshot", "--delete", "one", "web").code == 2  # nobody said yes
    assert run("snapshot web -y --delete one").out == "web: snapshot one deleted\n"
    assert json.loads(said(capsys, "snapshot", "list", "--format", "json").out) == []
