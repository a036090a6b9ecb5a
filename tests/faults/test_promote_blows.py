"""A promotion struck as the commands in scenarios.py are. Apart from them: each blow seals two masters."""

import random
from collections.abc import Callable

import pytest

from tests.faults.conftest import Place
from tests.faults.injector import Deed, Fault, needs_injector
from tests.faults.scenarios import Scenario, sealed, withstand
from tests.faults.test_blows import NOW_AND_THEN, changes, countable
from tests.fleet.promotable import a_tree, wrote
from tests.unit.rebased import f

pytestmark = [pytest.mark.image, pytest.mark.full, pytest.mark.timeout(1800), needs_injector]
POINTS = 10


def prepared(place: Place) -> None:
    """A machine with something of its own, on a master that can be fitted again."""
    tree = a_tree(place.folder / "tree")
    place.ok("master", "import", str(tree), "lamp:1")
    place.ok("create", "-m", "lamp:1", "--overlay", "32M", "--sparse", "one")
    [overlay] = [
        file for file in (place.state / "instances").glob("*/overlay.img") if _is_new(place, file.parent.name)
    ]
    wrote(overlay, {"srv/site": f("mine"), "etc/hostname": f("one\n")})


def _is_new(place: Place, uuid: str) -> bool:
    return f'"{uuid}"' in place.ok("show", "one", "--format", "json")


def promoted(place: Place) -> None:
    """The new master is whole, the machine's own is where it was, and nothing else was made."""
    sealed("lamp:2")(place)
    assert "/srv/site" in place.ok("changes", "one", "--format", "csv")
    assert {"lamp:1", "lamp:2", "tiny:1"} == {
        line.split(",")[0]
        for line in place.ok("master", "list", "--format", "csv", "--no-headers").splitlines()
    }


PROMOTE = Scenario(
    name="promote", words=("promote", "one", "lamp:2", "-y"), prepare=prepared, wanted=promoted
)


def sealed_layer(place: Place) -> None:
    place.ok("layer", "verify", "site:1")
    assert "/srv/site" in place.ok("changes", "one", "--format", "csv")
    assert len(place.ok("layer", "list", "--format", "csv", "--no-headers").splitlines()) == 1


AS_LAYER = Scenario(
    name="promote-as-layer",
    words=("promote", "one", "site:1", "--as-layer", "-y"),
    prepare=prepared,
    wanted=sealed_layer,
)


@pytest.mark.parametrize("deed", list(Deed))
def test_a_promotion_that_is_struck_leaves_a_master_or_none(deed: Deed, copied: Callable[[], Place]) -> None:
    struck(PROMOTE, deed, copied)


def struck(scenario: Scenario, deed: Deed, copied: Callable[[], Place]) -> None:
    calls = countable(changes(scenario, copied()), deed)
    for at in sorted(random.sample(range(1, len(calls) + 1), min(POINTS, len(calls)))):
        assert withstand(scenario, copied(), Fault(deed=deed, at=at)).struck or at > len(calls) - NOW_AND_THEN


@pytest.mark.parametrize("deed", list(Deed))
def test_a_layer_of_one_that_is_struck_is_whole_or_none(deed: Deed, copied: Callable[[], Place]) -> None:
    struck(AS_LAYER, deed, copied)
