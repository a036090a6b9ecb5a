"""What people look for first: what room there is, how all machines are, what needs somebody, what was done
last; and where a list says the same of one machine."""

from pathlib import Path

import pytest

from skinnybox.errors import SkinnyboxError
from skinnybox.fleet.capacity import Account
from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.tokens import Role
from skinnybox.fleet.view import MachineView
from skinnybox.model import Power, Space, Status
from skinnybox.sizes import MIB
from skinnybox.web import words
from skinnybox.web.overview import attention, room_of
from skinnybox.web.picture import map_of
from tests.samples import MASTER, an_instance, seal
from tests.web.conftest import SMALL, Console


def a_machine(name: str, power: Power = Power.STOPPED) -> MachineView:
    pid = None if power in (Power.STOPPED, Power.CRASHED) else 7
    status = Status(power=power, pid=pid)
    return MachineView(instance=an_instance(name), phase=Phase.DEFINED, status=status)


def test_the_bar_is_the_whole_disk() -> None:
    space = Space(
        total=1000, free=500, masters=100, promised=450, written=150, allocated=200, owed=250, instances=3,
        snapshots=50,
    )  # fmt: skip
    account = Account(
        space=space, full_copies=900, taken=350, fit=2, fit_size=100, fit_sparse=None, sparse_each=None
    )
    parts = {part.key: part.size for part in room_of(account).parts}
    assert parts == {
        "others": 150, "masters": 100, "written": 150, "held": 50, "snapshots": 50, "owed": 250, "free": 250,
    }  # fmt: skip
    assert sum(part.width for part in room_of(account).parts) == 1000
    ends = [part.start + part.width for part in room_of(account).parts]
    assert [part.start for part in room_of(account).parts] == [0, *ends[:-1]]


def test_a_disk_that_cannot_keep_its_promises_is_no_longer_than_it_is() -> None:
    space = Space(total=1000, free=100, masters=0, promised=5000, written=900, allocated=900, owed=4100,
        instances=5)  # fmt: skip
    account = Account(
        space=space, full_copies=0, taken=900, fit=0, fit_size=1, fit_sparse=None, sparse_each=None
    )
    parts = room_of(account).parts
    assert {part.key: part.size for part in parts if part.size} == {"written": 900, "owed": 100}
    assert sum(part.width for part in parts) == 1000


def test_what_needs_somebody_is_told_the_worst_first() -> None:
    machines = [
        a_machine("a"),
        a_machine("b", Power.CRASHED),
        a_machine("c", Power.STALLED),
        a_machine("d", Power.CRASHED),
    ]
    told = [(matter.what, matter.names) for matter in attention(machines, {})]
    assert told == [("crashed", ("b", "d")), ("stalled", ("c",))]
    [*_, last] = attention(machines, {MASTER: "tiny:2"})
    assert (last.what, last.count) == ("of a master that has a newer one", 4)
    assert attention([a_machine("a")], {}) == []


def test_each_machine_is_a_square_of_its_condition() -> None:
    found = map_of([a_machine("a"), a_machine("b", Power.CRASHED)])
    assert (found.count, found.tones) == (2, {"off": 1, "bad": 1})
    assert '<a href="/machines/b" class="bad"' in found.squares and "b: crashed, 0 %" in found.squares


@pytest.fixture
def followed(console: Console, tmp_path: Path, state: Path) -> Console:
    """Two machines, of which one runs, and a newer master than theirs."""
    console.fleet.create(["a", "b"], "tiny:1", SMALL)
    console.fleet.start(["a"])
    seal(state, tmp_path, "tiny", "2")
    return console


def test_the_first_page_says_all_of_it(followed: Console) -> None:
    text = followed.browser(Role.ADMIN).get("/").text
    for told in (
        'href="/machines/a" class="good"', 'href="/machines/b" class="off"', "a: ready, ", "more machines of",
        "promised to them, not theirs yet", "of a master that has a newer one", "<b>start</b> a",
    ):  # fmt: skip
        assert told in text, told


def test_it_is_there_where_nobody_can_say_what_room_there_is(
    followed: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says so, a viewer without where that lies; who reaches one fleet is told of no room at all."""

    def unread(*_: object) -> None:
        raise SkinnyboxError("/srv/vm/store cannot be asked")

    monkeypatch.setattr(type(followed.fleet), "capacity", unread)
    for role, told in (
        (Role.ADMIN, "/srv/vm/store cannot be asked"),
        (Role.VIEWER, "…/store cannot be asked"),
    ):
        text = followed.browser(role).get("/").text
        assert f'<p class="note bad">{told}</p>' in text and 'href="/machines/a" class="good"' in text
    assert "cannot be asked" not in followed.browser(Role.ADMIN, fleet="shop").get("/").text


def test_a_row_says_what_somebody_asks_of_a_machine(followed: Console) -> None:
    text = followed.browser(Role.OPERATOR).get("/machines").text
    assert text.count("tiny:2 is newer") == 2
    assert f"{followed.fleet.boots_at_once} come up at a time" in text
    address = followed.fleet.machine("a").address
    for told in (address, f">of {words.size(64 * MIB)}<", "since "):
        assert told is not None and told in text, told


def test_masters_say_who_needs_them_and_what_follows(followed: Console) -> None:
    admin = followed.browser(Role.ADMIN)
    assert "tiny:2 is newer" in admin.get("/masters").text
    one = admin.get("/masters/tiny:1").text
    assert 'href="/machines/a"' in one and 'href="/masters/tiny:2"' in one


def test_what_happened_to_a_machine_is_told_beside_what_was_asked_for(followed: Console) -> None:
    text = followed.browser(Role.VIEWER).get("/machines/a/history").text
    happened, asked = text.split("What was asked for")
    assert "<b>ready</b>" in happened
    assert "<b>create</b>" in asked and "<b>start</b>" in asked


def test_an_old_engine_is_told_to_be_itself_before_it_reads_anything_else(followed: Console) -> None:
    """XenCenter's tab: as an Internet Explorer of 2009 it would know no page of ours."""
    for role, path in ((None, "/sign-in"), (Role.VIEWER, "/"), (Role.VIEWER, "/machines/none")):
        head = followed.browser(role).get(path).text.partition("<title>")[0]
        assert '<meta http-equiv="X-UA-Compatible" content="IE=edge">' in head, path
        assert "<link" not in head and "<script" not in head, path
