"""Archives that somebody altered to hurt who restores them: a clear error, or what its own index says; and
nothing anywhere else."""

from pathlib import Path

import pytest

from skinnybox.errors import Corrupt, NoSpace, NotFound, Unsupported, UsageError
from skinnybox.model import DiskKind
from skinnybox.overlays import inspect
from tests.unit.archived import BASE, exported, filled, fresh, index_of, restore, without_readers
from tests.unit.hostile_archives import mutated, parts_of
from tests.unit.rebased import OPAQUE, WHITEOUT, d, f, l
from tests.unit.rebased_disk import cache

__all__ = ["cache"]
OVERLAY = DiskKind.OVERLAY
TREE = {
    b"etc/hosts": f("127.0.0.1"), b"etc/gone": WHITEOUT, b"etc/new": d(0o700, xattrs=OPAQUE),
    b"srv/link": l("/etc"), b"srv/site": f("site" * 5000, xattrs={"user.x": b"y"}), b"var/empty": f(""),
}  # fmt: skip
EXPECTED = (Corrupt, NoSpace, NotFound, Unsupported, UsageError)
SEEDS = [*range(40), *(pytest.param(seed, marks=pytest.mark.full) for seed in range(40, 500))]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> bytes:
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        without_readers(patch)
        disk = filled(fresh(folder / "old.img", cache), TREE, links={b"etc/other": b"etc/hosts"})
        return exported(folder / "a.zst", {OVERLAY: disk}).tar


@pytest.mark.parametrize("seed", SEEDS)
def test_altered_ones(
    tmp_path: Path, cache: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    without_readers(monkeypatch)
    file = tmp_path / "a.tar"
    file.write_bytes(mutated(whole, seed))
    try:
        new = restore(tmp_path, cache, [file])
    except EXPECTED as error:
        assert error.message.isprintable(), error.message
        left = {each.name for each in tmp_path.iterdir()}
        assert left <= {"a.tar", "new-overlay.img"}, left
        return
    index = next(
        part.content for part in parts_of(file.read_bytes()).parts if part.name == b"skinnybox.index"
    )
    assert index_of({OVERLAY: new}) == index
    assert inspect.read_base(new).get("image") == BASE.decode().split("image ")[1].split("\n")[0]
