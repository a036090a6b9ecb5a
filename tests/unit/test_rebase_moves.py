"""What a data disk is told of accounts that get other numbers, and what of it is left alone."""

import random
import re
from itertools import pairwise
from pathlib import Path

import pytest

from skinnybox.delta.rebase import containers, moves
from skinnybox.delta.rebase.accounts import Numbers, Ownership
from skinnybox.errors import Unsupported

GUEST = Path(__file__).parents[2] / "guest/lib"


def test_what_is_told() -> None:
    owners = Ownership(users=Numbers(moved={101: 102, 102: 101}), groups=Numbers(moved={105: 107}))
    told = moves.text("3f1c", (["sha256:a", "sha256:b"], ["sha256:c"]), owners).decode().splitlines()
    assert told[:4] == [
        "skinnybox-owners 1",
        "move 3f1c",
        "from sha256:a,sha256:b",
        "onto sha256:c",
    ]
    rest = [line for line in told[4:] if not line.startswith("leave /var/")]
    assert rest == [
        "user 101 102",
        "user 102 101",
        "group 105 107",
        f"group 107 {moves.PARKED + 107}",
        f"group {moves.PARKED + 107} 105",
        "end",
    ]


def test_any_moves_are_a_permutation_that_mixes_nobody() -> None:
    chance = random.Random(1)
    for _ in range(500):
        numbers = chance.sample(range(1, 60), chance.randint(0, 30))
        moved = dict(zip(numbers, chance.sample(range(1, 60), len(numbers)), strict=True))
        found = moves.closed(moved)
        assert found.items() >= moved.items() and sorted(found) == sorted(found.values())
        parked = {number for number in found if number not in moved and number < moves.PARKED}
        assert all(found[number] == moves.PARKED + number for number in parked)


def test_numbers_that_the_guest_has_no_place_for() -> None:
    assert moves.closed({(1 << 24) - 1: 5})
    with pytest.raises(Unsupported, match="16777216"):
        moves.closed({5: 1 << 24})
    numbers = {word: int(value) for word, value in re.findall(r"OWNERS_(\w+)=(\d+)", _script("moving"))}
    assert numbers["PARKED"] == moves.PARKED
    ranges = [(1, 1 << 24), (moves.PARKED, moves.PARKED + (1 << 24))]
    away = (numbers["AWAY"], numbers["PARKED_AWAY"])
    ranges += [(start + more, end + more) for (start, end), more in zip(ranges, away, strict=True)]
    assert all(end <= start for (_, end), (start, _) in pairwise(ranges))
    assert ranges[-1][1] < 1 << 31


def test_what_is_left_alone_is_what_engines_have() -> None:
    """The guest binds these over the root by their programs, and knows nothing else of them."""
    bound = re.findall(r"^\t(/var/lib/\w+) ", _script("direct"), re.MULTILINE)
    assert len(bound) > 7 and {*bound} <= {*containers.FOLDERS}
    left = [b"var/lib/docker", b"var/lib/docker/a", b"var/snap/lxd/common/lxd/x"]
    assert all(map(containers.is_containers, left))
    others = [
        b"",
        b"var",
        b"var/lib",
        b"var/lib/dockers",
        b"srv/var/lib/docker",
        b"home/a/.local/share/containers",
    ]
    assert not any(map(containers.is_containers, others))


def _script(name: str) -> str:
    return (GUEST / f"{name}.sh").read_text()
