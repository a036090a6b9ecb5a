"""Archives that somebody altered to hurt who makes a machine of them, sent: told as what they are, or the
machine that they say; nothing is left anywhere."""

from pathlib import Path

import pytest

from skinnybox.fleet.service import Fleet
from skinnybox.model import Instance
from tests.api.conftest import Api
from tests.api.test_sent_archives import a, archive, left, send
from tests.unit.archived import unpacked, without_readers
from tests.unit.hostile_archives import mutated

__all__ = ["a"]
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(1, 300))]
GIVEN = (400, 404, 409, 422, 501, 507)
"""What who sent it did wrong, or cannot have here."""


@pytest.mark.parametrize("seed", SEEDS)
def test_altered_ones(
    fleet: Fleet, operator: Api, state: Path, tmp_path: Path, a: Instance, seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    archive(fleet, tmp_path)
    tar = unpacked(tmp_path / "a.tar.zst")
    without_readers(monkeypatch)
    before = left(state)
    for each in range(seed * 6, seed * 6 + 6):
        answer = send(operator, [mutated(tar, each)], name="b", new_identity="true")
        if answer.status_code == 202:
            job = operator.ended(answer.json()["job"])
            assert job["state"] in ("done", "failed"), job  # a bug of ours comes out of its thread
        else:
            assert answer.status_code in GIVEN, answer.text
            assert answer.json()["detail"].isprintable() and str(state) not in answer.text, answer.text
        if "b" in fleet.names():
            assert fleet.delete(["b"])[0].ok
        assert left(state) == before
        assert [each.name for each in (state / "instances").iterdir()] == [str(a.uuid)]
