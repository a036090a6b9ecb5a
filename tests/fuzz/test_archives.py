"""Archives made to hurt who looks through them: an answer or an error, and no more bytes than there are."""

import io
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from skinnybox.errors import SkinnyboxError
from skinnybox.masters.archives.incoming import Incoming
from skinnybox.masters.archives.layers import layers_of, merged
from skinnybox.masters.archives.magic import KINDS, kind_of
from skinnybox.masters.archives.members import map_of, members
from skinnybox.masters.archives.survey import HOLDS, survey
from skinnybox.masters.archives.xva import _blocks, _disk
from tests.fuzz.conftest import survives
from tests.fuzz.mutate import BYTES, mutated
from tests.fuzz.test_tars import _damaged, archive
from tests.image import archives

WORDS = (
    b".wh.a", b".wh..wh..opq", b"GNU.sparse.major=1\n", b"GNU.sparse.map=1,2", b"manifest.json",
    b"oci-layout", b"ova.xml", b"Ref:7/00000000", b"rootfs/etc/", b"disk.raw", b"\xff" * 12,
    b"\x80" + b"\xff" * 11, b"77777777777\0",
    b'{"layers": [', b'"digest": "sha256:', b"<struct>" * 60, b"9999999 path=x\n",
)  # fmt: skip


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("samples")
    (folder / "base").mkdir()
    (folder / "base/a").write_bytes(b"a" * 700)
    layers = [
        archives.layer_of(folder, "1.tar", folder / "base", ("b>a", b""), ("c", None)),
        archives.layer_of(folder, "2.tar", folder / "none", (".wh.a", b""), ("c/.wh..wh..opq", b"")),
    ]
    (folder / "disk").write_bytes(random.Random(1).randbytes(1 << 20) + b"end")
    return [
        layers[0].read_bytes(),
        layers[1].read_bytes(),
        archives.docker_of(folder / "docker", layers).read_bytes(),
        archives.tar_of(folder / "oci", archives.oci_of(folder / "layout", layers, bytes)).read_bytes(),
        archives.xva_of(folder / "xva", folder / "disk").read_bytes(),
    ]


def broken(samples: list[bytes], chance: random.Random, around: Path) -> bytes:
    data = archive(chance, around) if chance.random() < 0.3 else chance.choice(samples)
    if chance.random() < 0.8:
        data = _damaged(data, chance)
    if chance.random() < 0.3:
        data = mutated(data[:4096], chance, WORDS) + data[4096:]
    if chance.random() < 0.2:
        out = bytearray(data)
        for _ in range(5):
            out[chance.randrange(len(out))] = chance.choice(BYTES)
        data = bytes(out)
    return data[: chance.randrange(len(data))] if chance.random() < 0.1 else data


def _surveyed(incoming: Incoming) -> None:
    found = survey(members(incoming))
    assert found.holds in HOLDS and len(found.names) < 10
    json.dumps([found.prefix.hex(), found.name.hex(), found.size])


def _walked(incoming: Incoming) -> None:
    for member in members(incoming):
        assert member.stored >= 0 and member.size >= 0
        if member.map_first:
            runs, length = map_of(incoming, member)
            assert length <= member.stored + 512 and all(offset >= 0 for offset, _ in runs)


def _exported(incoming: Incoming) -> None:
    for found in _disk(incoming):
        json.dumps(found)


def _copied(incoming: Incoming) -> None:
    assert sum(len(block) for _, block in _blocks(incoming, b"Ref:7", (1 << 20) + 512)) < 4 << 20


READERS: tuple[Callable[[Incoming], None], ...] = (_surveyed, _walked, _exported, _copied)


def test_any_archive_is_looked_through(
    rounds: int, chance: random.Random, around: Path, samples: list[bytes]
) -> None:
    file, seen = around / "inside" / "archive", set[str]()
    for _ in range(rounds):
        data = broken(samples, chance, around)
        file.write_bytes(data)
        assert kind_of(data[:65536]) in KINDS
        for reader in READERS:
            with _opened(file) as incoming:
                found = survives(reader, incoming)
            seen.add(f"{reader.__name__} {found.message[:14] if isinstance(found, SkinnyboxError) else ''}")
        with file.open("rb") as opened:
            survives(lambda descriptor: list(layers_of(descriptor)), opened.fileno())
    assert len(seen) > 10, seen
    file.unlink()


class _opened:
    def __init__(self, file: Path) -> None:
        self._file = file.open("rb")

    def __enter__(self) -> Incoming:
        return Incoming(self._file.fileno())

    def __exit__(self, *_: object) -> None:
        self._file.close()


def test_any_layers_make_no_more_than_there_is(
    rounds: int, chance: random.Random, around: Path, samples: list[bytes]
) -> None:
    files = [around / "inside" / f"layer-{number}" for number in range(3)]
    whole = 0
    for _ in range(rounds):
        for file in files:
            file.write_bytes(
                chance.choice(samples[:2]) if chance.random() < 0.5 else broken(samples[:2], chance, around)
            )
        descriptors = [os.open(file, os.O_RDONLY) for file in files]
        try:
            found = survives(lambda given: b"".join(merged(given)), descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        if isinstance(found, bytes):
            whole += 1
            assert len(found) <= 3 * sum(file.stat().st_size for file in files)
            assert found.endswith(bytes(1024))
            assert not [name for name in _names(found) if name.rpartition(b"/")[2].startswith(b".wh.")]
    assert whole > rounds / 50
    for file in files:
        file.unlink()


def _names(data: bytes) -> Iterator[bytes]:
    with io.BytesIO(data) as source:
        incoming = Incoming.__new__(Incoming)
        incoming.at, incoming._size, incoming._file = 0, len(data), source
        yield from (b"/".join(member.parts) for member in members(incoming))
