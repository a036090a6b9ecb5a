"""`master edit` on the fake host, whose guests do as the test does."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from skinnybox.cli import access
from skinnybox.errors import Blocked, Cancelled, CommandFailed, Conflict
from skinnybox.fleet import editing
from skinnybox.fleet.editing import LABEL, name_of
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.sha_crypt import hashed
from skinnybox.model import Master
from tests.fleet import test_promote
from tests.fleet.conftest import SPARSE, said
from tests.fleet.promotable import wrote
from tests.fleet.test_disks import image
from tests.fleet.test_exec import SSH
from tests.fleet.test_promote import content
from tests.unit.rebased import f

Said = pytest.CaptureFixture[str]
sealed, fleet = test_promote.sealed, test_promote.fleet
NAME = "edit-lamp-2"


def edit(fleet: Fleet, work: Callable[[str], bool], *, keep: bool = False) -> Master | None:
    return fleet.master_edits.edit("lamp:1", "lamp:2", work, SPARSE, keep=keep)


def test_what_was_done_in_the_machine_is_sealed_and_that_is_gone(fleet: Fleet, state: Path) -> None:
    def work(name: str) -> bool:
        machine = fleet.machine(name)
        assert (name, str(machine.condition)) == (NAME, "ready") and LABEL in dict(machine.instance.labels)
        wrote(image(state, machine.instance), {"srv/site": f("edited")})
        return True

    master = edit(fleet, work)
    assert master is not None and content(state, "lamp:2", "srv/site") == "edited"
    assert fleet.names() == []
    with pytest.raises(Conflict, match="lamp:2 is sealed already"):
        edit(fleet, lambda name: pytest.fail("before that is found out"))


@pytest.mark.full
@pytest.mark.parametrize("keep", [False, True])
def test_work_that_fails_seals_nothing(fleet: Fleet, keep: bool) -> None:
    def work(name: str) -> bool:
        raise Blocked("no")

    with pytest.raises(Blocked, match="no"):
        edit(fleet, work, keep=keep)
    assert edit_left(fleet) == ([(NAME, ())] if keep else [])
    if not keep:
        assert edit(fleet, lambda name: False) is None and fleet.names() == []
    assert [master.reference for master in fleet.masters.all()] == ["lamp:1"]


def edit_left(fleet: Fleet) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    return [(each.name, each.instance.labels) for each in fleet.machines()]


@pytest.mark.full
def test_work_that_cannot_be_sealed_is_kept_and_told_where(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Master:
        raise Cancelled("promote: cancelled")

    monkeypatch.setattr("skinnybox.fleet.promoting.promote", broken)
    with pytest.raises(Cancelled) as caught:
        edit(fleet, lambda name: True)
    assert f"skinnybox promote {NAME} lamp:2" in str(caught.value.hint)
    assert edit_left(fleet) == [(NAME, ())]


@pytest.mark.parametrize("how", [editing.SCRIPT, editing.SESSION])
def test_repair_clears_away_what_a_script_was_to_do_and_tells_of_the_rest(
    fleet: Fleet, capsys: Said, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """As kill -9 leaves it: nobody says anything any more."""
    monkeypatch.setattr(editing, "process_mark", lambda: "00000000-0000-0000-0000-000000000000/1/1")
    monkeypatch.setattr(editing.MasterEdits, "_leave", lambda *_, **__: None)

    def killed(name: str) -> bool:
        raise SystemExit(137)

    with pytest.raises(SystemExit):
        fleet.master_edits.edit("lamp:1", "lamp:2", killed, SPARSE, by_script=how == editing.SCRIPT)
    told = said(capsys, "repair", "--dry-run")
    assert f"{NAME} was made by a `master edit` that was killed" in told.out, told
    assert fleet.names() == [NAME]
    assert said(capsys, "repair", "-y").code == 0
    assert fleet.names() == ([] if how == editing.SCRIPT else [NAME])


@pytest.mark.full
def test_of_a_living_command_repair_says_nothing(fleet: Fleet, capsys: Said) -> None:
    def work(name: str) -> bool:
        assert NAME not in said(capsys, "repair", "--dry-run").out
        assert said(capsys, "repair", "-y").code == 0 and fleet.names() == [NAME]
        return False

    assert fleet.master_edits.edit("lamp:1", "lamp:2", work, SPARSE, by_script=True) is None


@pytest.mark.parametrize(
    ("new", "name"),
    [("lamp:2", "edit-lamp-2"), ("a.b_c:1.0-X", "edit-a-b-c-1-0-x"), ("lamp", "edit-lamp"),
     ("n" * 64 + ":" + "v" * 64, "edit-" + "n" * 58)],
)  # fmt: skip
def test_the_machine_is_called_by_the_new_master(new: str, name: str) -> None:
    assert name_of(new) == name


def test_the_command_line_says_what_it_lacks(fleet: Fleet, capsys: Said, tmp_path: Path) -> None:
    words = ("master", "edit", "lamp:1", "--as", "lamp:2")
    for more, code, why in (
        ((), 2, "needs a terminal"),
        (("--run", str(tmp_path / "none")), 3, "is no file"),
        (("--run", "x", "--console"), 2, "not allowed with"),
    ):
        ended = said(capsys, *words, *more)
        assert ended.code == code and why in ended.err, ended
    assert fleet.names() == [] and not sys.stdin.isatty()


def test_a_machine_of_that_name_is_not_touched(fleet: Fleet) -> None:
    fleet.create([NAME], "lamp:1", SPARSE)
    with pytest.raises(Conflict, match=f"there is a machine {NAME} already") as refused:
        edit(fleet, lambda name: pytest.fail("it is another's"))
    assert "skip-existing" not in str(refused.value.hint), "no option of this command"
    assert fleet.names() == [NAME]


def test_at_the_console_root_has_a_password_that_the_new_master_has_not(
    fleet: Fleet, state: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A master has none to come in with. Its guest writes what its seed says."""
    given: list[str] = []

    def attached(_: Fleet, name: str) -> None:
        instance = fleet.machine(name).instance
        ((user, text),) = [(user.name, user.password_hash or "") for user in instance.seed.users]
        given.extend((user, text))
        wrote(image(state, instance), {"etc/shadow": f(f"{user}:{text}:1::::::\n"), "srv/site": f("typed")})

    monkeypatch.setattr(access, "attach", attached)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    done = said(capsys, "master", "edit", "lamp:1", "--as", "lamp:2", "--console", "-y", "--memory", "128M")
    assert done.code == 0, done.err
    user, text = given
    password = done.err.partition("with the password ")[2].split()[0]
    assert (user, text) == ("root", hashed(password, text.split("$")[2]))
    assert content(state, "lamp:2", "srv/site") == "typed"
    assert text not in (content(state, "lamp:2", "etc/shadow") or "")


@pytest.mark.full
@pytest.mark.parametrize("script", ["echo edited >{made}", "#!/bin/bash\necho edited >{made}"])
def test_a_script_that_is_handed_over_does_the_work(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    """As over the network, where nobody has a terminal. Here it does nothing to the machine."""
    as_ssh(tmp_path, monkeypatch)
    made = tmp_path / "made"
    with pytest.raises(Conflict, match="this very content is sealed as lamp:1"):
        fleet.master_edits.run("lamp:1", "lamp:2", script.format(made=made), SPARSE)
    assert made.read_text() == "edited\n"


def test_a_script_that_fails_seals_nothing_and_says_why(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_ssh(tmp_path, monkeypatch)
    with pytest.raises(CommandFailed, match="the script ended with 1: nothing is sealed") as caught:
        fleet.master_edits.run("lamp:1", "lamp:2", "echo why >&2; false; echo on >&2", SPARSE)
    assert caught.value.hint == "why" and fleet.names() == []
    assert [master.reference for master in fleet.masters.all()] == ["lamp:1"]


def as_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to run in machines runs here."""
    program = tmp_path / "ssh"
    program.write_text(SSH)
    program.chmod(0o755)
    words = [str(program), "-E", str(tmp_path / "log")]
    monkeypatch.setattr("skinnybox.fleet.remote.ssh_argv", lambda *_, **__: words)
