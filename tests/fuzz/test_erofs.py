"""Images made to hurt who reads them: an answer or an error. Requirements: mkfs.erofs."""

import random

import pytest

from skinnybox.errors import SkinnyboxError
from skinnybox.masters import erofs
from skinnybox.masters.erofs_image import ErofsImage
from skinnybox.masters.survey import survey
from skinnybox.model import ImageKind
from skinnybox.operation import Operation
from tests.fuzz.conftest import survives

pytestmark = pytest.mark.image


KINDS = (ImageKind.EROFS_LZ4HC, ImageKind.EROFS_PLAIN)


@pytest.fixture(
    scope="module", params=[(kind, linux) for kind in KINDS for linux in ("5.10", "6.1")], ids=str
)
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder, chance = tmp_path_factory.mktemp("image"), random.Random(3)
    (folder / "tree/etc/deep").mkdir(parents=True)
    for size in (10, 5000, 90_000, 400_000):
        words = (b"%d " % chance.randrange(99) for _ in range(size // 3))
        (folder / f"tree/etc/{size}").write_bytes(b"".join(words))
    (folder / "tree/link").symlink_to("etc")
    made = folder / "image"
    found = survey(folder / "tree")
    kind, linux = request.param
    erofs.make(folder / "tree", made, kind, newest=found.newest, operation=Operation(), linux=linux)
    return made.read_bytes().rstrip(b"\0") + bytes(4096)


def _all(data: bytes) -> int:
    """Follows every folder, and reads every file, as far as a system's are read."""
    image, pending, read = ErofsImage(lambda at, length: data[at : at + length]), [b""], 0
    for _ in range(200):
        if not pending:
            break
        folder = pending.pop()
        for name, (number, kind) in image.children(folder).items():
            path = folder + b"/" + name if folder else name
            if kind == 2:
                pending.append(path)
            elif kind == 7:
                read += len(image.target(number))
            else:
                read += len(image.read(image.node(number), 1 << 20))
    return read


def test_every_image_is_read_or_refused(image: bytes, rounds: int, chance: random.Random) -> None:
    """Most of what is damaged are the superblock, inodes, folders and tables, which lie in front."""
    assert isinstance(survives(_all, image), int)
    refused = 0
    for _ in range(rounds // 6):
        data = bytearray(image)
        for _ in range(chance.randrange(1, 8)):
            at = 1024 + chance.randrange(120) if chance.random() < 0.3 else chance.randrange(1100, len(data))
            if chance.random() < 0.5:
                at = 1200 + chance.randrange(3000)
            data[at] = chance.choice((0, 1, 2, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        end = chance.choice((len(data), chance.randrange(2000, len(data))))
        found = survives(_all, bytes(data[:end]))
        refused += isinstance(found, SkinnyboxError)
    assert refused
