"""forward: added, listed, removed; and in a fleet file."""

import json
import threading
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from skinnybox.errors import Conflict, SkinnyboxError
from skinnybox.fleet.batch import Outcome
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.view import MachineView
from skinnybox.model import Forward, Instance
from tests.fleet.conftest import open_fake, said
from tests.fleet.fleetfile import HEAD, File


def words(state: Path, *more: str) -> tuple[str, ...]:
    return ("forward", "--host", "fake", "--state", str(state), *more)


def test_ports_are_added_listed_and_removed(
    made: dict[str, Instance], state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = said(capsys, *words(state, "a", "8080:80", "192.0.2.7:8443:443"))
    assert told == (0, "a: 127.0.0.1:8080:80, 192.0.2.7:8443:443 lead into it\n", "")
    assert said(capsys, *words(state, "a", "8080:80")).code == 0  # again, and once only
    assert said(capsys, *words(state, "b", "9090:80")).code == 0
    assert said(capsys, *words(state)).out == (
        "NAME  STATE    ADDRESS    PORT  GUEST PORT\n"
        "a     stopped  127.0.0.1  8080  80\n"
        "a     stopped  192.0.2.7  8443  443\n"
        "b     stopped  127.0.0.1  9090  80\n"
    )
    (only,) = json.loads(said(capsys, *words(state, "b", "--format", "json")).out)
    assert only == {"name": "b", "state": "stopped", "address": "127.0.0.1", "port": 9090, "guest_port": 80}
    with open_fake(state) as fleet:
        fleet.start(["a"])
    told = said(capsys, *words(state, "a", "--remove", "8080", "--remove", "8443"))
    assert told.out == "a: no port leads into it from its next start on\n"
    with open_fake(state) as fleet:
        assert fleet.machine("a").instance.forwards == ()


def test_of_one_that_runs_what_is_new_is_told_apart(
    made: dict[str, Instance], state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That ports which lead there since its start do so from the next on was no truth."""
    assert said(capsys, *words(state, "a", "8080:80", "8081:81")).code == 0
    with open_fake(state) as fleet:
        fleet.start(["a"])
    for more, told in (
        (("8080:80",), "as before, 127.0.0.1:8080:80, 127.0.0.1:8081:81 lead into it"),
        (
            ("9000:90",),
            "127.0.0.1:9000:90 leads into it from its next start on; "
            "as before, 127.0.0.1:8080:80, 127.0.0.1:8081:81 lead into it",
        ),
        (
            ("9001:90", "--remove", "8080", "--remove", "8081"),
            "127.0.0.1:9001:90 leads into it from its next start on; "
            "127.0.0.1:8080:80, 127.0.0.1:8081:81 no more, from its next start on; "
            "as before, 127.0.0.1:9000:90 leads into it",
        ),
        (("--remove", "9000", "--remove", "9001"), "no port leads into it from its next start on"),
    ):
        assert said(capsys, *words(state, "a", *more)) == (0, f"a: {told}\n", "")


def test_what_is_refused(made: dict[str, Instance], state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, *words(state, "a", "8080:80")).code == 0
    for more, code, why in (
        (("b", "8080:80"), 4, "port 8080 of 127.0.0.1 leads to a already"),
        (("b", "0.0.0.0:8080:80"), 4, "skinnybox forward a --remove 8080"),
        (("a", "--remove", "1234"), 3, "port 1234 does not lead to a"),
        (("a", "8080:81"), 2, "are the same port of this host"),
        (("--remove", "8080"), 2, "--remove needs a machine"),
        (("a", "80:80"), 2, "from 1024 to 65535"),
        (("*", "8081:80"), 3, "means 3 machines"),
        (("nobody",), 3, "nobody"),
    ):
        told = said(capsys, *words(state, *more))
        assert (told.code, told.out, why in told.err) == (code, "", True), (more, told)


def test_two_at_once_add_both(made: dict[str, Instance], state: Path) -> None:
    from skinnybox.cli.forward import _changes

    def add(first: int) -> None:
        with open_fake(state) as own:
            for port in range(first, first + 10):
                while not own.set(["a"], _changes([Forward(port=port, to=80)], []))[0].ok:
                    pass

    threads = [threading.Thread(target=add, args=(first,)) for first in (8000, 9000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open_fake(state) as fleet:
        assert len(fleet.machine("a").instance.forwards) == 20


def test_of_two_at_once_one_gets_the_port(
    made: dict[str, Instance], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second comes while the first tells its host, for which no transaction is open."""
    forward = Forward(port=8080, to=80)
    with open_fake(state) as fleet, open_fake(state) as other:
        define, told = fleet._host.define, list[Outcome[MachineView]]()

        def slowly(instance: Instance) -> None:
            told.extend(other.set(["b"], {"forwards": (forward,)}))
            define(instance)

        monkeypatch.setattr(fleet._host, "define", slowly)
        assert fleet.set(["a"], {"forwards": (forward,)})[0].ok
        [second] = told
        assert isinstance(second.error, Conflict) and "leads to a already" in second.error.message
        assert [m.name for m in other.machines() if m.instance.forwards] == ["a"]


def test_a_port_is_free_again_when_the_host_refused(
    made: dict[str, Instance], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Forward(port=8080, to=80)

    def refusing(instance: Instance) -> None:
        raise SkinnyboxError("the disk is on fire")

    with open_fake(state) as fleet:
        with monkeypatch.context() as patched:
            patched.setattr(fleet._host, "define", refusing)
            assert not fleet.set(["a"], {"forwards": (forward,)})[0].ok
        assert fleet.set(["b"], {"forwards": (forward,)})[0].ok


def test_a_machine_that_is_made_meanwhile_does_not_get_it(made: dict[str, Instance], state: Path) -> None:
    wanted = replace(made["a"], uuid=uuid4(), name="d", ssh_port=None, forwards=(Forward(port=8080, to=80),))
    with open_fake(state) as fleet:
        fleet._catalog.check_ports([wanted])
        assert fleet.set(["b"], {"forwards": wanted.forwards})[0].ok
        with pytest.raises(Conflict, match="leads to b already"):
            fleet._catalog.claim([wanted])
        assert fleet.names() == ["a", "b", "c"]


def test_a_fleet_file_has_them(fleet: Fleet, file: File) -> None:
    file.write(f"{HEAD}machines:\n  web-{{1..2}}: {{forwards: [8080:80, '0.0.0.0:8443:443']}}\n  db: {{}}\n")
    assert all(outcome.ok for outcome in file.apply()) and file.plan() == []
    ports = {machine.name: list(map(str, machine.instance.forwards)) for machine in fleet.machines()}
    assert ports == {
        "db": [],
        "web-1": ["127.0.0.1:8080:80", "0.0.0.0:8443:443"],
        "web-2": ["127.0.0.1:8081:80", "0.0.0.0:8444:443"],
    }
    fleet.start(["web-1"])
    file.write(f"{HEAD}machines:\n  web-{{1..2}}: {{forwards: [9080:22]}}\n  db: {{}}\n")
    assert file.plan() == ["set web-1", "set web-2"]
    first, second = file.apply()
    assert first.value == (
        "forwards 127.0.0.1:8080:80, 0.0.0.0:8443:443 -> 127.0.0.1:9080:22; takes effect at its next start"
    )
    assert second.ok and file.plan() == []
    file.write(f"{HEAD}machines:\n  web-{{1..2}}: {{}}\n  db: {{forwards: [9081:22]}}\n")
    assert all(outcome.ok for outcome in file.apply()) and file.plan() == []


def test_beside_what_counts_at_once_a_plan_names_what_does_not(fleet: Fleet, file: File) -> None:
    file.write(f"{HEAD}machines:\n  a: {{forwards: [8080:80], labels: {{role: web}}}}\n")
    assert all(outcome.ok for outcome in file.apply())
    fleet.start(["a"])
    file.write(f"{HEAD}machines:\n  a: {{forwards: [8081:80], labels: {{role: www}}}}\n")
    [told] = file.apply()
    assert (told.value or "").endswith("; takes effect at its next start: forwards")
    assert fleet.machine("a").instance.labels == (("role", "www"),) and file.plan() == []
    file.write(f"{HEAD}machines:\n  a: {{forwards: [8081:80]}}\n")
    [told] = file.apply()
    assert told.value == "labels role=www -> none"


@pytest.mark.parametrize(
    ("machines", "why"),
    [
        ("a: {forwards: [80:80]}", "from 1024 to 65535"),
        ("a: {forwards: [8080]}", "expected a text"),
        ("a: {forwards: [8080:80, 8080:81]}", "are the same port"),
        ("a-{1..2}: {forwards: [65535:80]}", "from 1024 to 65535"),
        (
            "a: {forwards: [8080:80]}\n  b-{1..2}: {forwards: [8079:80]}",
            "leads to two machines, first in 'a'",
        ),
        ("a-{1..2}: {forwards: [8080:80, 8081:81]}", "leads to two machines, first in 'a-{1..2}'"),
        ("a: {bridge: br0, forwards: [8080:80]}", "a machine on a bridge"),
    ],
)
def test_what_a_file_cannot_say(file: File, machines: str, why: str) -> None:
    file.write(f"{HEAD}machines:\n  {machines}\n")
    with pytest.raises(SkinnyboxError) as told:
        file.plan()
    assert why in told.value.message and "fleet.yaml:" in told.value.message
