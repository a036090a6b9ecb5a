"""`move` to another computer: a real sshd, and a Skinnybox behind it that dies wherever it is told to."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from skinnybox.errors import SkinnyboxError, UsageError
from skinnybox.fleet.elsewhere import receiving
from skinnybox.fleet.elsewhere.form import request_bytes
from skinnybox.fleet.service import Fleet
from skinnybox.model import Instance
from skinnybox.operation import Operation
from tests.fleet import other_computer, rebasing, test_move
from tests.fleet.conftest import SPARSE, open_fake, said
from tests.fleet.other_computer import Computer
from tests.fleet.rebasing import has
from tests.fleet.test_disks import image
from tests.fleet.test_lease import dies_in
from tests.fleet.test_move import CATALOG, FULL, HOST, disks, left, refuse_to_start
from tests.fleet.test_rebase import put, two_masters
from tests.samples import seal
from tests.unit.archived import index_of

__all__ = ["two_masters"]
fleet, web = rebasing.fleet_of_two, test_move.web
Said = pytest.CaptureFixture[str]


@pytest.fixture
def computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Computer]:
    with other_computer.computer(tmp_path / "computer") as found:
        monkeypatch.setenv("PATH", f"{found.folder}/ssh", prepend=os.pathsep)
        yield found


@pytest.fixture
def to(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    return tmp_path / getattr(request, "param", "elsewhere")


@pytest.fixture
def there(to: Path) -> Iterator[Fleet]:
    with open_fake(to) as opened:
        yield opened


def words(to: Path, *more: str) -> tuple[str, ...]:
    return ("move", "web", "--to", f"ssh://other{to}", "--to-host", "fake", *more)


def moved(capsys: Said, to: Path) -> None:
    ended = said(capsys, *words(to))
    assert (ended.code, ended.out) == (0, f"web: moved to ssh://other{to}\n"), ended


@pytest.mark.parametrize("to", ["st \"$HOME' ~"], indirect=True)
@pytest.mark.usefixtures("computer")
def test_it_is_the_same_there_and_gone_here(
    fleet: Fleet, state: Path, web: Instance, there: Fleet, to: Path, capsys: Said
) -> None:
    """With what it needs, in a folder of an odd name."""
    fleet._catalog.pin_host_keys(web.uuid, ("ssh-ed25519 AAAA",))
    before = index_of(disks(state, web))
    moved(capsys, to)
    assert fleet.names() == [] and left(state) == []
    machine = there.machine("web")
    assert replace(machine.instance, seed=web.seed) == web and machine.host_keys == ("ssh-ed25519 AAAA",)
    assert index_of(disks(to, machine.instance)) == before and has(to, web, "srv/site") == "mine"
    assert there.masters.verify("web:1") == fleet.masters.find("web:1")
    assert [master.reference for master in there.masters.all()] == ["web:1"] and left(to) == [str(web.uuid)]


def test_it_is_on_the_disk_there_before_that_is_said(
    fleet: Fleet, state: Path, web: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the other end does last: here it is deleted then."""
    steps = test_move.watched_steps(monkeypatch, receiving)
    request = {"uuid": str(web.uuid), "host_keys": ["ssh-ed25519 AAAA"]}
    assert receiving._settle(fleet._context, request, Operation())["name"] == "web"
    assert steps == [f"sync -f {state}"] and fleet.machine("web").host_keys == ("ssh-ed25519 AAAA",)


def dies(state: Path, to: Path, place: str) -> None:
    module = "__import__('skinnybox.fleet.elsewhere.place', fromlist=['place'])"
    there = f"{module}.place_of({f'ssh://other{to}'!r}, 'fake')"
    move = "__import__('skinnybox.fleet.moving', fromlist=['moving']).Move()"
    dies_in(state, place, f"fleet.deltas.move(['web'], {there}, {move})")


SENDING = "skinnybox.fleet.elsewhere.sending"
BEFORE = [f"{SENDING}.bringing.files_of", f"{SENDING}.exporting.manifest_of", f"{SENDING}.exported.export"]
BETWEEN = [f"{SENDING}.exported.index_sum", f"{CATALOG}.turn", f"{HOST}.delete", f"{CATALOG}.forget"]


@FULL
@pytest.mark.usefixtures("nothing_is_young", "computer")
@pytest.mark.parametrize("place", [*BEFORE, *BETWEEN])
def test_killed_here_at_any_step_the_same_command_goes_on(
    fleet: Fleet, state: Path, web: Instance, there: Fleet, to: Path, capsys: Said, place: str
) -> None:
    before = index_of(disks(state, web))
    dies(state, to, place)
    if place in BEFORE:
        assert fleet.names() == ["web"] and there.names() == []
    else:
        assert there.names() == ["web"] and index_of(disks(to, web)) == before
    refuse_to_start(fleet, capsys, f"ssh://other{to}", marked=place != BEFORE[0])
    whole_in_the_end(fleet, state, web, there, to, capsys, before)


def whole_in_the_end(
    fleet: Fleet, state: Path, web: Instance, there: Fleet, to: Path, capsys: Said, before: object
) -> None:
    moved(capsys, to)
    assert fleet.names() == [] and left(state) == []
    assert index_of(disks(to, there.machine("web").instance)) == before
    assert said(capsys, "--state", str(to), "repair", "-y").code == 0
    assert left(to) == [str(web.uuid)] and there.masters.verify("web:1")


THERE = [
    "skinnybox.masters.bringing.seal.finish", f"{CATALOG}.claim", f"{HOST}.create_overlay",
    f"{HOST}.define", f"{CATALOG}.confirm", "skinnybox.fleet.elsewhere.receiving.exported.index_sum",
    f"{CATALOG}.pin_host_keys",
]  # fmt: skip


@FULL
@pytest.mark.usefixtures("nothing_is_young")
@pytest.mark.parametrize("place", THERE)
def test_killed_there_at_any_step_the_same_command_goes_on(
    fleet: Fleet, state: Path, web: Instance, there: Fleet, to: Path, capsys: Said, place: str,
    computer: Computer,
) -> None:  # fmt: skip
    fleet._catalog.pin_host_keys(web.uuid, ("ssh-ed25519 AAAA",))
    before = index_of(disks(state, web))
    computer.dies_in(place)
    ended = said(capsys, *words(to))
    assert ended.code == 1 and "skinnybox on other ended with 9" in ended.err, ended
    assert index_of(disks(state, fleet.machine("web").instance)) == before
    computer.dies_in("")
    whole_in_the_end(fleet, state, web, there, to, capsys, before)
    assert there.machine("web").host_keys


@FULL
@pytest.mark.usefixtures("computer")
def test_what_was_changed_there_since_is_not_thrown_away_here(
    fleet: Fleet, state: Path, web: Instance, there: Fleet, to: Path, capsys: Said
) -> None:
    dies(state, to, f"{CATALOG}.turn")
    put(image(to, web), "srv/more", "theirs")
    assert has(to, web, "srv/more") == "theirs"
    refused(fleet, capsys, words(to), 4, "is not what it is here", "delete the other")
    there.start(["web"])
    refused(fleet, capsys, words(to), 4, f"ssh://other{to}: web runs already")
    assert has(to, web, "srv/more") == "theirs"


@FULL
@pytest.mark.usefixtures("computer")
def test_one_of_that_name_is_there_before_anything_is_sent(
    fleet: Fleet, web: Instance, there: Fleet, to: Path, capsys: Said
) -> None:
    seal(to, to.parent, "web", "2")
    there.create(["web"], "web:2", SPARSE)
    refused(fleet, capsys, words(to), 4, f"ssh://other{to}: there is a machine web already", "rename one")
    there.delete(["web"])
    seal(to, to.parent, "web", "1", unrelated=True)
    refused(fleet, capsys, words(to), 4, "is another master", "remove that one there")
    assert there.names() == [] == left(to)


def refused(fleet: Fleet, capsys: Said, words: tuple[str, ...], code: int, *why: str) -> None:
    before = fleet.machine("web").instance
    ended = said(capsys, *words)
    assert ended.code == code and all(each in ended.err for each in why), ended
    assert replace(fleet.machine("web").instance, moving=None) == replace(before, moving=None)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ("off", ("Connection refused", "try it by hand: ssh off true")),
        ("refused", ("Permission denied", "nobody is asked for a password")),
        ("stranger", ("Host key verification failed", "ssh stranger true")),
    ],
)
@pytest.mark.usefixtures("computer")
def test_a_way_that_is_shut(
    fleet: Fleet, web: Instance, to: Path, capsys: Said, other: str, why: tuple[str, ...]
) -> None:
    refused(fleet, capsys, ("move", "web", "--to", f"ssh://{other}{to}"), 1, *why)


@pytest.mark.parametrize(
    ("program", "code", "why"),
    [
        ("", 6, ("other has no skinnybox that ssh finds", "install it there")),
        ("echo \"skinnybox: there is no command 'receive'\" >&2; exit 2", 6, ("is older", "upgrade it")),
        pytest.param(
            "cat >/dev/null; echo welcome; exit 3", 1, ("ended with 3: it said nothing",), marks=FULL
        ),
        ('echo \'{"skinnybox": 7, "answer": {"version": "9", "protocol": 7}}\'', 6, ("other is 9",)),
        pytest.param("head -c 9999999 /dev/zero", 1, ("ended with 0",), marks=FULL),
        ('echo \'{"skinnybox": 1, "error": ["exit", "\\u001b[2J", null]}\'', 1, ("\\x1b[2J",)),
    ],
)
def test_somebody_else_answers(
    fleet: Fleet, web: Instance, to: Path, capsys: Said, computer: Computer, program: str, code: int,
    why: tuple[str, ...],
) -> None:  # fmt: skip
    """No skinnybox, an older one, what a login prints, a later one, a flood, an error of no kind."""
    if program:
        computer.program.write_text(f"#!/bin/sh\n{program}\n")
    else:
        computer.program.unlink()
    refused(fleet, capsys, words(to), code, *why)


def test_what_is_no_request(state: Path, fleet: Fleet) -> None:
    """Whoever sends it: an error, and nothing of it anywhere."""
    before = sorted(state.rglob("*"))
    sealed = {"ask": "sealed", "noun": "master", "manifest": "{}", "files": []}
    for request in (
        {}, {"ask": "all"}, {"ask": "about"}, {"ask": "about", "uuid": "x", "name": "a"}, {"ask": "settle"},
        {"ask": "settle", "uuid": str(uuid4()), "host_keys": []}, {"ask": "machine"}, sealed,
        {**sealed, "noun": "../x"}, {**sealed, "files": [["../x", 1]]}, {**sealed, "files": [["a", -1]]},
        {**sealed, "files": [["a", 1], ["a", 1]]}, {"ask": "machine", "name": "x", "changes": {}},
        {"ask": "machine", "name": "x", "changes": {"network": "n"}},
    ):  # fmt: skip
        with pytest.raises(SkinnyboxError):
            answered(fleet, request_bytes(request) + b"no archive")
    for data in (b"", b"x", b"99999999999\n", b"0\n", b"5\n[1,2]", b"9\n{}", b"2\n{}", b"12345678\n"):
        with pytest.raises(UsageError):
            answered(fleet, data)
    assert answered(fleet, b'16\n{"skinnybox": 9}')["protocol"] == 1
    assert sorted(state.rglob("*")) == before


def answered(fleet: Fleet, data: bytes) -> dict[str, object]:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        return fleet.deltas.receive(file.fileno(), Operation())
