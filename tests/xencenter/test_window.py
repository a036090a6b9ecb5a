"""The windows, driven by keyboard on a screen of their own; what they show is looked at by its colours."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from skinnybox import run
from tests.emulators.xapi import EmulatedPool
from tests.pace import within
from tests.plugin.conftest import furnished
from tests.xencenter.conftest import Desk, at_a_desk
from tests.xencenter.screen import Screen, has_colour, screen

pytestmark = pytest.mark.full

ACCENT, WRONG = "0F766E", "B42318"
FORM = "Skinnybox: Create 4 machines"


@pytest.fixture
def thick(plugins: Path, built: Path, tmp_path: Path) -> Iterator[Desk]:
    """A pool whose storage keeps its promises: 97 overlays of 1 GiB fit. Each machine takes its time."""
    with EmulatedPool(plugins=plugins) as pool, pool.session() as api:
        dom0 = furnished(pool, api, sr="lvmoiscsi")
        dom0.thin_template()
        pool.faults.slow("VM.provision", 0.3)
        yield at_a_desk(pool, dom0, built, tmp_path).trusting()


@contextmanager
def window(
    desk: Desk, shown: Screen, verb: str = "batch", target: list[str] | None = None
) -> Iterator[run.Child]:
    environment = {**desk.environment(), **shown.environment()}
    with run.start(
        desk.argv(verb, target=target), env=environment, stdout=run.PIPE, stderr=run.STDOUT
    ) as child:
        yield child


def test_a_batch_from_the_form_to_the_machines(thick: Desk, tmp_path: Path) -> None:
    with screen() as shown, window(thick, shown) as child:
        shown.wait_for(FORM)
        form = shown.picture(tmp_path / "form.png")
        assert has_colour(form, ACCENT, 100) and not has_colour(form, WRONG, 1)
        shown.type("db-")
        shown.press("Tab", "Tab")
        shown.type("120")
        shown.wait_for("Skinnybox: Create 120 machines")
        full = shown.picture(tmp_path / "full.png")
        assert has_colour(full, WRONG, 1000) and not has_colour(full, ACCENT, 1)
        shown.press("Return")  # there is no room: nothing begins
        shown.press("BackSpace", "BackSpace", "BackSpace", "6")
        shown.wait_for("Skinnybox: Create 6 machines")
        assert thick.dom0.names() == []
        shown.press("Return")
        shown.wait_for("Skinnybox: Creating 6 machines")
        shown.picture(tmp_path / "progress.png")
        shown.wait_for("Skinnybox: Done", 60)
        done = shown.picture(tmp_path / "done.png")
        assert has_colour(done, ACCENT, 50)
        shown.press("Escape")
        assert child.wait(within(20)) == 0
    assert thick.dom0.names() == [f"db-0{number}" for number in range(1, 7)]
    assert thick.is_in_session()


def test_closing_it_takes_all_back(thick: Desk, tmp_path: Path) -> None:
    before = thick.dom0.counts()
    with screen() as shown, window(thick, shown) as child:
        shown.wait_for(FORM)
        shown.press("Return")
        shown.wait_for("Skinnybox: Creating 4 machines")
        shown.press("Escape")
        assert child.wait(within(40)) == 1
    assert thick.dom0.counts() == before and thick.is_in_session()


def test_one_that_could_not_start_is_shown(thick: Desk, tmp_path: Path) -> None:
    thick.dom0.pool.faults.fail("VM.start", "NO_HOSTS_AVAILABLE", at=2)
    with screen() as shown, window(thick, shown) as child:
        shown.wait_for(FORM)
        shown.press(*["Tab"] * 7, "space")
        shown.press("Return")
        shown.wait_for("Skinnybox: 1 of 4 could not be started", 60)
        assert has_colour(shown.picture(tmp_path / "one.png"), WRONG, 50)
        shown.press("Escape")
        assert child.wait(within(20)) == 1
    assert thick.dom0.vm("web-01")["power_state"] == "Running"


def test_a_certificate_is_asked_about_and_no_is_the_answer(thick: Desk, tmp_path: Path) -> None:
    thick.known.unlink()
    thick.dom0.pool.log.clear()
    with screen() as shown, window(thick, shown) as child:
        shown.wait_for("Skinnybox: is this the pool?")
        shown.picture(tmp_path / "question.png")
        shown.press("Return")
        shown.wait_for("Skinnybox: It did not work")
        shown.picture(tmp_path / "refused.png")
        shown.press("Escape")
        assert child.wait(within(20)) == 5
    assert thick.dom0.pool.log.count() == 0 and not thick.known.exists()


def test_a_certificate_that_is_confirmed_is_remembered(thick: Desk) -> None:
    thick.known.unlink()
    with screen() as shown, window(thick, shown) as child:
        shown.wait_for("Skinnybox: is this the pool?")
        shown.press("Left", "Return")
        shown.wait_for(FORM)
        shown.press("Escape")
        assert child.wait(within(20)) == 0
    assert thick.known.read_text() == f"{thick.authority} {thick.dom0.pool.fingerprint.upper()}\n"


@pytest.mark.parametrize("verb", ["provision", "create_template"])
def test_one_machine_and_a_template(thick: Desk, verb: str, tmp_path: Path) -> None:
    with screen() as shown, window(thick, shown, verb) as child:
        shown.wait_for("Skinnybox: Create")
        shown.picture(tmp_path / f"{verb}.png")
        shown.type("small-1")
        shown.press("Return")
        shown.wait_for("Skinnybox: Done")
        shown.press("Escape")
        assert child.wait(within(20)) == 0
    assert thick.dom0.vm("small-1")["is_a_template"] == (verb == "create_template")


def test_the_selected_template_is_chosen(thick: Desk) -> None:
    """With its overlay, though another one is the first of the list."""
    thick.dom0.thin_template(name="a-thin", overlay="2G")
    uuid = thick.dom0.thin_template(name="small", overlay="64M")
    with screen() as shown, window(thick, shown, "provision", thick.target("VM", uuid)) as child:
        shown.wait_for("Skinnybox: Create")
        shown.press("Return")
        shown.wait_for("Skinnybox: Done")
        shown.press("Escape")
        assert child.wait(within(20)) == 0
    assert [each["overlay"] for each in thick.dom0.call("list")["machines"]] == [64 << 20]


def test_a_template_that_cannot_be_used_says_why(thick: Desk, tmp_path: Path) -> None:
    """It was selected, so it is offered: a BIOS one."""
    with thick.dom0.pool.database() as database:
        uuid = next(each["uuid"] for _, each in database.where("VM", name_label="Stock"))
    with screen() as shown, window(thick, shown, "provision", thick.target("VM", uuid)) as child:
        shown.wait_for("Skinnybox: Create")
        shown.press("Return")
        shown.wait_for("Skinnybox: It did not work")
        shown.picture(tmp_path / "bios.png")
        shown.press("Escape")
        assert child.wait(within(20)) == 4
    assert thick.dom0.names() == []
