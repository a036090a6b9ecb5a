"""Layers, sealed, removed and used, struck like the commands in scenarios.py."""

from tests.faults.conftest import CREATE, Place
from tests.faults.scenarios import CONFLICT, NOT_FOUND, Scenario, created

LAYER = ("layer", "import", "@/site", "site:1", "--for", "tiny")


def with_layer(place: Place) -> None:
    place.ok(*LAYER)


def layered(place: Place) -> None:
    place.ok("layer", "verify", "site:1")


def unlayered(place: Place) -> None:
    assert "site:1" not in place.ok("layer", "list")


LAYERS = (
    Scenario(name="layer-import", words=LAYER, wanted=layered, long=True),
    Scenario(
        name="layer-remove",
        words=("layer", "remove", "site:1"),
        prepare=with_layer,
        wanted=unlayered,
        done=(NOT_FOUND,),
        long=True,
    ),
    Scenario(
        name="layer-create",
        words=(*CREATE, "--layer", "site", "one"),
        prepare=with_layer,
        wanted=created("one"),
        done=(CONFLICT,),
        long=True,
    ),
)
