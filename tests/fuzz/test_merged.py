"""The disks of a machine that is off, made to hurt: what it sees is told, or an error, and it ends."""

import random
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.delta.merged import frames, sending
from skinnybox.delta.merged.receiving import Frames
from skinnybox.errors import SkinnyboxError
from skinnybox.ext4 import open_descriptor
from skinnybox.masters import erofs
from skinnybox.model import ImageKind
from skinnybox.operation import Operation
from skinnybox.overlays.inspect import opened
from tests.fuzz.mutate import mutated

pytestmark = [pytest.mark.image, pytest.mark.full]
ROUNDS, MOST = 300, 20_000


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path]:
    """A small overlay, and the image below it."""
    folder = tmp_path_factory.mktemp("merged")
    upper, lower = folder / "tree/upper", folder / "lower"
    for root in (upper, lower):
        (root / "etc/app").mkdir(parents=True)
        (root / "etc/app/conf").write_text(root.name * 500)
        (root / f"of-{root.name}").mkdir()
        (root / "link").symlink_to("/etc/../etc/app")
    with (upper / "holes").open("wb") as file:
        file.seek(300_000)
        file.write(b"end")
    (folder / "tree/direct/var%lib%docker").mkdir(parents=True)
    disk, image = folder / "overlay", folder / "image"
    run.run(
        [
            "mke2fs",
            "-q",
            "-F",
            "-t",
            "ext4",
            "-O",
            "^has_journal",
            "-b",
            "1024",
            "-d",
            folder / "tree",
            disk,
            "1M",
        ]
    )
    erofs.make(lower, image, ImageKind.EROFS_PLAIN, newest=1, operation=Operation())
    return disk.read_bytes(), image


@pytest.mark.parametrize("seed", range(8))
def test_it_is_told_or_refused(machine: tuple[bytes, Path], tmp_path: Path, seed: int) -> None:
    chance, (whole, image) = random.Random(seed), machine
    told = 0
    for _ in range(ROUNDS):
        disk = tmp_path / "disk"
        # Most of a disk is empty, or content: what is read of it stands at the beginning.
        head = mutated(whole[: 200 << 10], chance)[: 200 << 10]
        disk.write_bytes(head + whole[len(head) :])
        with opened(disk) as overlay, opened(image) as sealed:
            try:
                of = sending.Disks(
                    overlay=open_descriptor(overlay), images=(sealed,), data=None, folders=(),
                    engines=(b"var/lib/docker",),
                )  # fmt: skip
                heard = Frames(sending.said(of, chance.choice((b"/", b"/link", b"/etc/app")), recursive=True))
                if heard.begin() == frames.ENTRY:
                    for _ in range(MOST):
                        if not heard.deep:
                            break
                        heard.pass_over()
                    told += 1
            except SkinnyboxError:
                continue
    assert told > ROUNDS // 10
