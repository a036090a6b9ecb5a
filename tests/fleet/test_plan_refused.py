"""What is not applied at all: not agreed to, not here, without room, or while another apply works."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from skinnybox.errors import Conflict, NoSpace, NotFound, Unsupported, UsageError
from skinnybox.fleet.plan.actions import Choices, Verb
from skinnybox.fleet.plan.apply import Plan, agreed
from skinnybox.fleet.power import Starting
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.model import Instance, Space
from skinnybox.sizes import GIB, MIB
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
    planned = file.fleet.files.plan(file.path, Choices())
    assert [action.verb for action in planned.actions].count(Verb.CREATE) == 4
    assert planned.refusal and planned.refusal.message.startswith("4 reserved overlays need 3600.0T; ")
    with pytest.raises(NoSpace, match="4 reserved overlays"):
        file.apply()
    assert file.fleet.names() == []


def test_each_fits_and_all_do_not(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """What will have been deleted by then is room as well; a sparse one is promised nothing."""
    free = 3 * 64 * MIB

    def space(_: FakeHost, of: Iterable[Instance], __: object) -> Space:
        taken = 16 * MIB * len(list(of))
        return Space(
            total=GIB, free=free, masters=0, promised=0, written=0, allocated=taken, owed=0, instances=0
        )

    monkeypatch.setattr(FakeHost, "space", space)
    file.write(BASIC)
    assert file.fleet.files.plan(file.path, Choices()).refusal is None
    file.write(BASIC.replace(", sparse: true", ""))
    planned = file.fleet.files.plan(file.path, Choices())
    assert planned.refusal
    assert planned.refusal.message == "4 reserved overlays need 256.0M; 192.0M are free"
    free = 4 * 64 * MIB
    file.apply()
    free = 3 * 64 * MIB
    assert file.fleet.files.plan(file.path, Choices()).refusal is None  # nothing is to be made
    anew = Choices(recreate=frozenset({"*"}))
    assert file.fleet.files.plan(file.path, anew).refusal is None
    free -= 1
    planned = file.fleet.files.plan(file.path, anew)
    assert planned.refusal and planned.refusal.message.endswith(" are free, with what is deleted first")
