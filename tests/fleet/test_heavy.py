"""Who makes or shows a master is told which of its files make overlays heavy."""

from pathlib import Path

import pytest

from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.settings import Settings
from skinnybox.model import Master
from skinnybox.operation import Operation
from skinnybox.sizes import MIB


def _sealed(tmp_path: Path, size: int) -> tuple[list[str], list[str], Master]:
    from skinnybox.masters.seal import seal

    place = tmp_path / "tree/var/lib/mysql"
    place.mkdir(parents=True)
    with (place / "ib_logfile0").open("wb") as file:
        file.truncate(size)
    kernel = tmp_path / "vmlinuz-6.1"
    kernel.write_bytes(b"kernel")
    notes: list[str] = []
    state = tmp_path / "state"
    master = seal(
        tmp_path / "tree", store=state / "masters", name="m", version="1", kernel=kernel, initrd=kernel,
        operation=Operation(log=notes.append),
    )  # fmt: skip
    with open_fleet(Settings(state=state, host="fake")) as fleet:
        shown = fleet.masters.heavy(master)
        (fleet.masters.folder(master) / "index.jsonl.gz").unlink()
        assert fleet.masters.heavy(master) == []
    return notes, shown, master


def test_path_size_and_a_way_out_are_told(tmp_path: Path) -> None:
    notes, shown, _ = _sealed(tmp_path, 96 * MIB)
    assert notes == shown and len(notes) == 2
    assert "/var/lib/mysql/ib_logfile0, 96.0M" in notes[0] and "--run-once" in notes[1]


@pytest.mark.parametrize("size", [0, MIB])
def test_nothing_is_told_of_small_ones(tmp_path: Path, size: int) -> None:
    notes, shown, _ = _sealed(tmp_path, size)
    assert notes == shown == []
