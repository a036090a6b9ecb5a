"""Layers, from XenCenter's arguments and its form to the machines."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulators.xapi import EmulatedPool
from tests.pace import within
from tests.plugin.conftest import ABOVE, furnished, image
from tests.plugin.test_machines import told as words_of
from tests.xencenter.conftest import THIN, Desk, at_a_desk, told
from tests.xencenter.screen import screen
from tests.xencenter.test_window import window


def stock(desk: Desk) -> None:
    """Three above lamp:1, one of them on two storages, and one that is another master's."""
    for number, name in enumerate(("tools:1", "site:1", "größe <1>"), 1):
        desk.dom0.layer(name, number)
    desk.dom0.layer("site:1", 2, desk.dom0.pool.add_sr("more", "nfs"))
    api = desk.dom0.api
    api.VDI.remove_from_other_config(desk.dom0.layer("mails:1", 9), next(iter(ABOVE)))
    api.VDI.snapshot(desk.dom0.layer("half:1", 8, **{"skinnybox:role": "upload"}))


@pytest.fixture
def stocked(desk: Desk) -> Desk:
    stock(desk)
    return desk


def test_a_batch_with_layers(stocked: Desk) -> None:
    """By name, digest and UUID, in that order; nothing more of the storage."""
    [ref] = stocked.dom0.api.VDI.get_by_name_label("Skinnybox layer größe <1> [NOBAK] [NOSNAP]")
    layers = f"layers=site:1,{image(1)},{stocked.dom0.api.VDI.get_uuid(ref)}"
    ended = stocked.run("batch", "--text", *THIN, "last=3", layers)
    assert ended.returncode == 0, told(ended)
    lines = ended.stdout.decode().splitlines()
    assert lines[:2] == [
        "web-01, web-02, web-03",
        "Layers, the lowest first: site:1, tools:1, größe <1> (shared by all: they take no space)",
    ]
    assert lines[2].startswith("24 KiB of 100 GiB free on shared (8 KiB each)") and "%" in lines[3]
    machines = stocked.dom0.call("list")["machines"]
    assert [each["layers"] for each in machines] == [["site:1", "tools:1", "größe <1>"]] * 3
    assert words_of(stocked.dom0.vm("web-03"))["layers"] == "xvde,xvdf,xvdg"


CASES = [
    ("mails:1", 5, "mails:1 was made for another master", "no machine of lamp:1 with the layer mails:1"),
    ("nothing:1", 3, "There is no layer nothing:1 in this pool.", 'There is no layer "nothing:1"'),
    (f"tools:1,{image(1)}", 2, "tools:1 is named twice.", "tools:1 and tools:1 hold the same files"),
    ("tools:1,", 2, "", "Expected: 1 to 16 layers of the pool"),
    (",".join("abcdefghijklmnopq"), 2, "", "layers: 17 are too many"),
]


@pytest.mark.parametrize(
    ("layers", "code", "previewed", "refused"),
    [CASES[0], *(pytest.param(*each, marks=pytest.mark.full) for each in CASES[1:])],
)
def test_what_cannot_be_stacked(stocked: Desk, layers: str, code: int, previewed: str, refused: str) -> None:
    before = stocked.dom0.counts()
    ended = stocked.run("batch", "--text", *THIN, "last=2", f"layers={layers}")
    assert ended.returncode == code and refused in told(ended)
    assert previewed in ended.stdout.decode() and stocked.dom0.counts() == before


@pytest.mark.full
def test_a_layer_that_somebody_may_write_to(stocked: Desk) -> None:
    dom0 = stocked.dom0
    made = stocked.run("provision", "--text", "template=thin", "master=lamp:1", "name=web", "layers=tools:1")
    assert made.returncode == 0, told(made)
    for drive in dom0.vm("web")["VBDs"]:
        if dom0.api.VBD.get_userdevice(drive) == "4":
            dom0.api.VBD.set_mode(drive, "RW")
    ended = stocked.run("batch", "--text", *THIN, "last=1", "layers=tools:1")
    assert ended.returncode == 4 and "a layer's disk attached for writing" in told(ended)


@pytest.fixture
def seen(plugins: Path, built: Path, tmp_path: Path) -> Iterator[Desk]:
    with EmulatedPool(plugins=plugins) as pool, pool.session() as api:
        dom0 = furnished(pool, api)
        dom0.thin_template()
        desk = at_a_desk(pool, dom0, built, tmp_path).trusting()
        stock(desk)
        yield desk


@pytest.mark.full
def test_the_form_keeps_their_order(seen: Desk, tmp_path: Path) -> None:
    """Ticked by keyboard: the second of three, moved to the top, and the third."""
    with screen("700x700") as shown, window(seen, shown) as child:
        shown.wait_for("Skinnybox: Create 4 machines")
        shown.press("shift+Tab", "shift+Tab", "shift+Tab")  # Down and Up stand between
        shown.press("Home", "Down", "space", "Down", "space", "Up")
        shown.press("Tab", "space")
        shown.press("Tab", "Tab")  # or Return would press Up
        shown.picture(tmp_path / "layers.png")
        shown.press("Return")
        shown.wait_for("Skinnybox: Done", 60)
        shown.press("Escape")
        assert child.wait(within(20)) == 0
    machines = seen.dom0.call("list")["machines"]
    assert [each["layers"] for each in machines] == [["site:1", "tools:1"]] * 4


@pytest.mark.full
def test_those_of_a_selected_machine_are_ticked(seen: Desk, tmp_path: Path) -> None:
    made = seen.dom0.provision("old", layers="tools:1,site:1")
    with screen("700x700") as shown, window(seen, shown, target=seen.target("VM", made["uuid"])) as child:
        shown.wait_for("Skinnybox: Create 4 machines")
        shown.picture(tmp_path / "selected.png")
        shown.press("Return")
        shown.wait_for("Skinnybox: Done", 60)
        shown.press("Escape")
        assert child.wait(within(20)) == 0
    machines = seen.dom0.call("list")["machines"]
    assert [each["layers"] for each in machines] == [["tools:1", "site:1"]] * 5
    assert {each["master_vdi"] for each in machines} == {seen.dom0.api.VDI.get_uuid(seen.dom0.master)}


@pytest.mark.full
@pytest.mark.parametrize("record", ["[", '["x"]', "[[]]", '[["a", 1]]', "{}", '[["a", "b"], 7]'])
def test_a_record_that_somebody_spoilt(seen: Desk, record: str) -> None:
    """As if it had no layers."""
    made = seen.dom0.provision("old")
    vm = seen.dom0.api.VM.get_by_uuid(made["uuid"])
    seen.dom0.api.VM.add_to_other_config(vm, "skinnybox:layers", record)
    with screen() as shown, window(seen, shown, target=seen.target("VM", made["uuid"])) as child:
        shown.wait_for("Skinnybox: Create 4 machines")
        shown.press("Escape")
        assert child.wait(within(20)) == 0
