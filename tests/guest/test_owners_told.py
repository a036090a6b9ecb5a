"""What the host says of a data disk's record and a system's move (delta/data_owners.py), against what a start
of a machine makes of the two (owners.sh)."""

import itertools
import random
from pathlib import Path

import pytest

from skinnybox.delta.data_owners import differs
from tests.guest.conftest import Shell
from tests.guest.test_owners import LINES, Move, record

IMAGES = ("sha256:a", "sha256:b", "sha256:c,sha256:d")
MOVES = [Move(f"{n:x}", old, new, LINES) for n, (old, new) in enumerate(itertools.permutations(IMAGES, 2), 1)]
BROKEN = ("", "skinnybox-owners 2\nend\n", "skinnybox-owners 1\nuser 1 2\nend\n", "skinnybox-owners 1\n")


SCRIPT = """
refuse() { echo refused; exit 1; }
mkdir -p RUN/data/skinnybox
STEP=RUN/step OWNERS_TOLD=
for case in CASES/*; do
    rm -f RUN/data/skinnybox/owners
    [ ! -e "$case/had" ] || cp "$case/had" RUN/data/skinnybox/owners
    cp "$case/wanted" RUN/wanted
    ( next_step "$case" && echo step || echo none )
done
"""


def starts(shell: Shell, cases: list[tuple[str, str, str]]) -> list[bool]:
    """Whether there is a step to do, of each; one that is refused does none."""
    for number, (had, move, images) in enumerate(cases):
        folder = shell.tmp / f"cases/{number:05}"
        (folder / "var/lib/skinnybox").mkdir(parents=True)
        _put(folder / "var/lib/skinnybox/owners", move)
        _put(folder / "had", had)
        (folder / "wanted").write_text("".join(f"{image} u\n" for image in images.split(",")))
    script = SCRIPT.replace("RUN", f"{shell.tmp}/run").replace("CASES", f"{shell.tmp}/cases")
    said = shell("owners", script).out.split()
    assert len(said) == len(cases), said
    return [word == "step" for word in said]


def _put(place: Path, text: str) -> None:
    if text:
        place.write_text(text)


@pytest.mark.parametrize("count", [24, pytest.param(200, marks=pytest.mark.full)])
def test_both_say_the_same(count: int, shell: Shell) -> None:
    chance = random.Random(count)
    cases = [("", "", IMAGES[0]), (record(MOVES[0]), record(MOVES[0]), IMAGES[1])]
    while len(cases) < count:
        had = chance.sample(MOVES, chance.randrange(4))
        move = chance.choice(MOVES) if chance.random() < 0.7 else None
        cases.append((record(*had) if had else "", record(move) if move else "", chance.choice(IMAGES)))
    told = [differs(had.encode(), move.encode(), images.split(",")) for had, move, images in cases]
    assert {True, False} <= set(told)
    for case, ours, theirs in zip(cases, told, starts(shell, cases), strict=True):
        assert ours == theirs, case


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_not_understood_says_nothing(text: str) -> None:
    assert not differs(text.encode(), b"", [IMAGES[0]])
    assert not differs(record(MOVES[0]).encode(), f"{text}x".encode(), [IMAGES[0]])
