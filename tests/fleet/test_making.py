"""Masters in the making by a child: the order it is handed, and what it says."""

from pathlib import Path
from typing import Any

import pytest

from skinnybox.errors import Cancelled, CommandFailed, Conflict, NoSpace, SkinnyboxError
from skinnybox.fleet.making import Build, Import, Order, Promote, PromoteLayer, read, written
from skinnybox.fleet.making_apart import _heard, _parsed
from skinnybox.model import ImageFormat, Stack
from skinnybox.operation import Operation, Step


@pytest.mark.parametrize(
    "order",
    [
        Build(reference="a"),
        Build(
            reference="a:1", recipe_file=Path("/r\udcff"), text="x", suite="s", packages=("p", "q"), dax=True,
            image_format=ImageFormat.EXT4, after="b:1", unrelated=True,
        ),
        Import(source=Path("/s"), reference="a", as_is=True),
        Import(
            source=Path("s"), reference="a", as_is=False, kernel=Path("k"), initrd=Path("i"), dax=True,
            image_format=ImageFormat.EROFS, format="raw", partition=0, leave_out=("/home",), after="b",
            unrelated=True,
        ),
        Promote(
            overlay=Path("/d\udcff"), whose='{"a": "\udcff"}', reference="a:1",
            stack=Stack(
                master="sha256:ab", reference="b:1", images=("x", "y"), layers=("c:1",), layer_ids=("d",)
            ),
        ),
        PromoteLayer(
            machine="web", overlay=Path("/d"), whose="{}", reference="a",
            stack=Stack(master="sha256:ab", reference="b:1", images=("x",)),
        ),
    ],
)  # fmt: skip
def test_an_order_comes_there_as_it_was_given(order: Order) -> None:
    line = written(Path("/store"), order)
    assert "\n" not in line
    assert read(line) == (Path("/store"), order)


def test_what_the_child_says_is_heard() -> None:
    steps: list[Step] = []
    notes: list[str] = []
    operation = Operation(steps.append, notes.append)
    step = {"task": "build", "done": 1, "total": 6, "unit": "stages", "detail": "x"}
    assert _heard({"step": step}, operation) is None
    assert _heard({"note": "look"}, operation) is None
    assert steps == [Step(task="build", done=1, total=6, unit="stages", detail="x")] and notes == ["look"]
    assert _heard({"made": "sha256:ab"}, operation) == "ab"


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        ("Conflict", Conflict), ("NoSpace", NoSpace), ("CommandFailed", CommandFailed),
        ("SkinnyboxError", SkinnyboxError), ("os", SkinnyboxError), ("from_system", SkinnyboxError),
        ("NotAFile", SkinnyboxError), ("", SkinnyboxError),
    ],
)  # fmt: skip
def test_its_errors_are_ours(kind: str, raised: type[SkinnyboxError]) -> None:
    with pytest.raises(SkinnyboxError, match="why") as caught:
        _heard({"failed": kind, "message": "why", "hint": "so"}, Operation())
    assert type(caught.value) is raised and caught.value.hint == "so"


def test_that_its_server_ended_is_no_cancel_of_somebody() -> None:
    """The child knows only that nobody waits for it any more."""
    said = {"failed": "Cancelled", "message": "build: cancelled", "hint": None}
    operation = Operation()
    operation.interrupt()
    with pytest.raises(Cancelled, match="interrupted"):
        _heard(said, operation)
    with pytest.raises(Cancelled, match="build: cancelled"):
        _heard(said, Operation())


@pytest.mark.parametrize(
    "line",
    [
        b"", b"\xff", b"[]", b"1", b"{", b"{}", b'{"made": 1}', b'{"step": {}}', b'{"step": {"task": 1}}',
        b'{"step": {"task": "t", "done": "x", "total": 1, "unit": "", "detail": ""}}', b'{"note": []}',
        b'{"failed": "Conflict"}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_word_of_ours_is_passed_over(line: bytes) -> None:
    def unheard(_: Any) -> None:
        pytest.fail("heard")

    found = _parsed(line)
    assert found is None or _heard(found, Operation(unheard, unheard)) is None
