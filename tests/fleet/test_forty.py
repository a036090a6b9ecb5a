"""The example of docs/how-to/forty.md: the page shows it as it is, and it plans. tests/boot/test_forty.py
boots it."""

import shutil
from pathlib import Path

import pytest

from skinnybox.fleet.plan.actions import Choices, Verb
from skinnybox.fleet.service import Fleet
from skinnybox.model import Allocation, Network
from skinnybox.sizes import MIB
from tests.pages import ROOT
from tests.samples import PUBLIC_KEY, seal

EXAMPLE = ROOT / "docs" / "how-to" / "forty"
FILES = sorted(path.name for path in EXAMPLE.iterdir() if path.name != "sites.csv")


@pytest.mark.parametrize("name", FILES)
def test_the_page_shows_each_file_as_it_is(name: str) -> None:
    page = EXAMPLE.with_suffix(".md").read_text()
    assert f"\n{(EXAMPLE / name).read_text()}```\n" in page
    assert f"`{name}`" in page or f"[{name}]" in page


def test_it_makes_forty_machines_that_differ(fleet: Fleet, state: Path, tmp_path: Path) -> None:
    """Planned only: reserved as it says, they take 19 GB."""
    seal(state, tmp_path, "widgets", "1")
    folder = tmp_path / "forty"
    shutil.copytree(EXAMPLE, folder)
    (folder / "admin.pub").write_text(PUBLIC_KEY)
    actions = fleet.files.plan(folder / "widgets.yaml", Choices()).actions
    assert {action.verb for action in actions} == {Verb.CREATE}
    wanted = {action.name: action.wanted.specification for action in actions if action.wanted}
    assert list(wanted) == [f"web-{number:02}" for number in range(1, 41)]
    assert {each.network for each in wanted.values()} == {Network.OPEN}
    assert {each.overlay.size for each in wanted.values()} == {640 * MIB}
    assert [each.forwards[0].port for each in wanted.values()] == list(range(18001, 18041))
    addresses = [each.static_network.address for each in wanted.values() if each.static_network]
    assert addresses == [f"10.7.0.{number}/24" for number in range(11, 51)]
    assert len({tuple(each.files) for each in wanted.values()}) == 40
    sparse = [name for name, each in wanted.items() if each.overlay.allocation is Allocation.SPARSE]
    assert sparse == [f"web-{number}" for number in range(31, 41)]
    assert b"ServerName wheels.example" in wanted["web-40"].files[0].content
