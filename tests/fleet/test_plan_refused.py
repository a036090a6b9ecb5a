"""What is not applied at all: not agreed to, not here, without room, or while another apply works."""

from pathlib import Path

import pytest

from skinnybox.errors import Conflict, NotFound, Unsupported, UsageError
from skinnybox.fleet.plan.actions import Choices, Verb
from skinnybox.fleet.plan.apply import Plan, agreed
from skinnybox.fleet.power import Starting
from tests.fleet.conftest import open_fake
from tests.fleet.fleetfile import BASIC, HEAD, File


def test_a_no_leaves_all_as_it_was(file: File) -> None:
    file.apply()
    file.write(HEAD + "machines: {}\n")

    def refuse(plan: Plan) -> None:
        assert [action.verb for action in plan.actions] == [Verb.DELETE] * 4
        raise UsageError("not done")

    with pytest.raises(UsageError, match="not done"):
        file.fleet.files.apply(file.path, Choices(prune=True), Starting(), refuse)
    assert len(file.fleet.names()) == 4


def test_only_one_apply_at_a_time(file: File, state: Path) -> None:
    with open_fake(state) as other:

        def meanwhile(plan: Plan) -> None:
            with pytest.raises(Conflict, match="another `skinnybox apply`"):
                other.files.apply(file.path, Choices(), Starting(), agreed)

        file.fleet.files.apply(file.path, Choices(), Starting(), meanwhile)
        assert other.files.apply(file.path, Choices(), Starting(), agreed) == []


def test_what_is_not_here_is_named_with_its_line(file: File) -> None:
    file.write(BASIC.replace("db: {", "db: {master: nothing, ").replace("master: tiny", "master: 'tiny:9'"))
    with pytest.raises(NotFound) as caught:
        file.plan()
    assert f"{file.path}:3:20: no master tiny:9" in caught.value.message
    assert f"{file.path}:6:16: no master nothing" in caught.value.message
    file.write(BASIC.replace("cpus: 2", "bridge: br9"))
    with pytest.raises(NotFound, match="no bridge 'br9'"):
        file.plan()
    file.write(BASIC.replace("cpus: 2", "dax: true"))
    with pytest.raises(Unsupported, match="DAX"):
        file.plan()
    file.write(BASIC.replace("cpus: 2", "follow_name: true"))
    with pytest.raises(Unsupported, match="do not see what it calls them"):
        file.plan()
    with pytest.raises(NotFound, match="no machine named nothing"):
        file.write(BASIC)
        file.plan(recreate=frozenset({"nothing"}))
    assert file.fleet.names() == []


def test_what_does_not_fit_is_refused_before_anything_is_made(file: File) -> None:
    file.write(BASIC.replace("64M, sparse: true", "900T"))
    outcomes = file.apply()
    assert {type(outcome.error).__name__ for outcome in outcomes} == {"NoSpace"}
    assert [outcome.name for outcome in outcomes] == ["web-1", "web-2", "web-3", "db"]  # and none is started
    assert file.fleet.names() == []
