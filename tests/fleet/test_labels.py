"""Labels: given, taken, shown, and what a filter leaves of the machines that are named."""

import json
from pathlib import Path

import pytest

from skinnybox.errors import UsageError
from skinnybox.fleet.service import Fleet
from skinnybox.model import Instance
from tests.fleet.conftest import open_fake, said
from tests.fleet.fleetfile import HEAD, File


@pytest.fixture
def common(made: dict[str, Instance], state: Path) -> tuple[str, ...]:
    """Machines a, b and c; a and b have labels."""
    with open_fake(state) as fleet:
        fleet.set(["a"], {"labels": (("role", "web"), ("site", "x"))})
        fleet.set(["b"], {"labels": (("role", "db"),)})
        fleet.start(["b"])
    return "--host", "fake", "--state", str(state)


def test_people_read_labels_as_they_gave_them(
    common: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = {name: said(capsys, "show", *common, name).out.splitlines() for name in "ac"}
    assert "labels:          role=web, site=x" in shown["a"] and "labels:          -" in shown["c"]
    csv = said(capsys, "list", *common, "--format", "csv", "--columns", "name,labels").out
    assert csv == 'name,labels\na,"role=web, site=x"\nb,role=db\nc,-\n'


def test_labels_are_given_and_taken(common: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys, "set", *common, "*", "--label", "role=mail", "--label", "new=1", "--no-label", "site")
    assert told == (0, "a: changed\nb: changed\nc: changed\n", "")  # at once, also where one runs
    found = json.loads(said(capsys, "list", *common, "--format", "json").out)
    assert [machine["labels"] for machine in found] == [{"new": "1", "role": "mail"}] * 3
    assert "mail" in said(capsys, "show", *common, "a").out
    told = said(capsys, "set", *common, "b", "--label", "new=2", "--cpus", "2")
    assert told.out == "b: changed; it takes effect at its next start\n"
    create = ("create", *common, "d", "--master", "tiny", "--sparse")
    assert said(capsys, *create, "--label", "role=web", "--label", "x=").code == 0
    assert said(capsys, "list", *common, "--names", "--filter", "x=").out == "d\n"
    for words in (("set", *common, "a", "--label", "State=x"), ("set", *common, "a", "--label", "state=x"),
                  ("set", *common, "a", "--no-label", "A"), (*create, "--label", "x")):  # fmt: skip
        assert said(capsys, *words).code == 2


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (["role=web"], "a"), (["role"], "a b"), (["!role"], "c"), (["role!=web"], "b c"),
        (["state=ready"], "b"), (["state=starting"], ""), (["state=stopped", "role=web"], "a"),
        (["master=tiny:1"], "a b c"), (["!fleet"], "a b c"), (["name=c"], "c"), (["role=web", "role=db"], ""),
    ],
)  # fmt: skip
def test_a_filter_narrows(
    common: tuple[str, ...], capsys: pytest.CaptureFixture[str], filters: list[str], names: str
) -> None:
    words = [word for text in filters for word in ("--filter", text)]
    told = said(capsys, "list", *common, "--names", *words)
    assert told.out.split() == names.split() and told.code == (0 if names else 3)


def test_commands_touch_only_what_is_meant(
    common: tuple[str, ...], state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "set", *common, "*", "--filter", "role", "--cpus", "3").code == 0
    with open_fake(state) as fleet:
        assert [machine.instance.cpus for machine in fleet.machines()] == [3, 3, 1]
    assert said(capsys, "kill", *common, "a", "c", "--filter", "role=db").code == 3
    assert said(capsys, "kill", *common, "*", "--filter", "role=db").out == "b: stopped\n"
    both = ("--filter", "role=db", "--cpus", "2", "--throw-away", "disk", "--yes")
    assert said(capsys, "set", *common, "*", *both).code == 0
    with open_fake(state) as fleet:
        assert [machine.instance.cpus for machine in fleet.machines()] == [3, 2, 1]
        assert [bool(machine.instance.throw_away) for machine in fleet.machines()] == [False, True, False]
    assert said(capsys, "delete", *common, "*", "--filter", "role=web", "--yes").out == "a: deleted\n"
    assert said(capsys, "delete", *common, "*", "--filter", "", "--yes").code == 2
    assert said(capsys, "delete", *common, "*", "--filter", "a b", "--yes").code == 2
    with open_fake(state) as fleet:
        assert fleet.names() == ["b", "c"]


def test_a_fleet_file_has_them(fleet: Fleet, file: File) -> None:
    file.write(f"{HEAD[:-2]}, labels: {{role: web}}}}\nmachines:\n  a: {{}}\n  b: {{labels: {{site: x}}}}\n")
    assert all(outcome.ok for outcome in file.apply()) and file.plan() == []
    labels = [machine.instance.labels for machine in fleet.machines()]
    assert labels == [(("role", "web"),), (("site", "x"),)]
    file.write(f"{HEAD}machines:\n  a: {{labels: {{role: db, x: y}}}}\n  b: {{}}\n")
    first, second = file.apply()
    assert (first.value, second.value) == ("labels role=web -> role=db, x=y", "labels site=x -> none")
    assert file.plan() == [] and fleet.machine("b").instance.labels == ()


@pytest.mark.parametrize("labels", ["{Role: x}", "{state: x}", "{a: 1}", "[a]", "{a: 'x\t'}", "a=b"])
def test_what_a_file_cannot_say(file: File, labels: str) -> None:
    file.write(f"{HEAD}machines:\n  a: {{labels: {labels}}}\n")
    with pytest.raises(UsageError, match=r"fleet\.yaml:5"):
        file.plan()
