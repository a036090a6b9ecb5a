"""format.sh: what a guest makes of a blank disk is what the host would have made; and of no other disk."""

from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.overlays import inspect
from skinnybox.overlays.format import format_image
from skinnybox.overlays.inspect import read_base, read_generation
from skinnybox.overlays.template import BASE_CAPACITY, IDENTITY_CAPACITY
from skinnybox.sizes import GIB, MIB
from skinnybox.wire import Line, encode
from tests.guest.conftest import IMAGE, INSTANCE, OTHER, Shell

pytestmark = pytest.mark.image
PARTS = "message host disks format"
NOT = "MKE2FS=mke2fs\n"
REFUSE = 'refuse() { echo "REFUSED: $*"; exit 9; }\n'
BASE = encode("base", 1, [Line("instance", INSTANCE), Line("image", f"sha256:{'0' * 64} {IMAGE}")])


def seed(size: int = 10, instance: str = INSTANCE) -> bytes:
    return encode(
        "seed",
        1,
        [Line("generation", "4"), Line("instance", instance), Line("run-once", payload=b"x" * size)],
    )


def disk(shell: Shell, size: int) -> Path:
    device = shell.disk("xvdb", None)
    with device.open("wb") as file:
        file.truncate(size)
    (shell.tmp / "sys/block/xvdb/size").write_text(f"{size // 512}\n")
    return device


def ordered(shell: Shell, words: dict[str, str | bytes] | None = None, *, size: int = 64 * MIB) -> Path:
    shell.says(**{"format": INSTANCE, "base": BASE, "seed": seed(), **(words or {})})
    return disk(shell, size)


def shape(image: Path) -> dict[str, str]:
    """What dumpe2fs says, without what differs from one disk to the next."""
    lines = run.run(["dumpe2fs", "-h", image]).stdout.decode().splitlines()
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    drop = (
        "UUID",
        "time",
        "checked",
        "created",
        "hecksum",
        "Hash Seed",
        "Free",
        "mounted",
        "Lifetime",
        "Journal seq",
    )
    return {name: value.strip() for name, value in found.items() if not any(word in name for word in drop)}


@pytest.mark.parametrize(
    ("size", "length"), [(32 * MIB, 10), (300 * MIB, 10), (1 * GIB, 30_000), (3 * GIB, 10), (20 * GIB, 10)]
)
def test_it_is_what_the_host_makes(shell: Shell, tmp_path: Path, size: int, length: int) -> None:
    device = ordered(shell, {"seed": seed(length)}, size=size)
    ended = shell(PARTS, f"{REFUSE}format_if_ordered {device}")
    assert ended.code == 0, ended.out
    place = 16384 if length == 10 else 65536
    (tmp_path / "host").mkdir()
    places = {"base": BASE_CAPACITY, "seed": place, "identity": IDENTITY_CAPACITY}
    assert shape(device) == shape(format_image(tmp_path / "host", size, places))
    run.run(["e2fsck", "-fn", device])
    assert read_base(device).get("instance") == INSTANCE
    assert read_generation(device) == 4
    assert inspect.read_shape(device).has_upper
    assert not list((shell.tmp / "run").glob("format"))


def test_without_an_order_nothing_happens(shell: Shell) -> None:
    device = disk(shell, 32 * MIB)
    ended = shell(PARTS, f"{NOT}{REFUSE}format_if_ordered {device}", stubs=["mke2fs"])
    assert (ended.code, ended.calls) == (0, [])


def test_an_order_for_another_machine(shell: Shell) -> None:
    device = ordered(shell, {"format": OTHER})
    ended = shell(PARTS, f"{NOT}{REFUSE}format_if_ordered {device}", stubs=["mke2fs"])
    assert (ended.code, ended.calls) == (9, [])
    assert f"the order to format is for the machine {OTHER}" in ended.out


@pytest.mark.parametrize(
    "words",
    [{"base": ""}, {"seed": ""}, {"seed": seed(instance=OTHER)}, {"seed": seed()[:-4]}],
    ids=["no base", "no seed", "another's seed", "half a seed"],
)
def test_without_contents_it_stays_blank(shell: Shell, words: dict[str, str | bytes]) -> None:
    device = ordered(shell, words)
    ended = shell(PARTS, f"{NOT}{REFUSE}format_if_ordered {device}", stubs=["mke2fs"])
    assert (ended.code, ended.calls) == (9, [])
    assert "the host did not say what to put on it" in ended.out


@pytest.mark.parametrize(
    "at", [0, 1024 + 56, 512, MIB - 1, 128 * MIB + 1080, 384 * MIB + 1080, 400 * MIB - 512, 400 * MIB - 1]
)
def test_a_disk_that_is_not_blank_is_left_as_it_is(shell: Shell, at: int) -> None:
    """A superblock, a partition table at either end, the copies ext4 keeps."""
    device = ordered(shell, size=400 * MIB)
    with device.open("r+b") as file:
        file.seek(at)
        file.write(b"\x53")
    ended = shell(PARTS, f"{NOT}{REFUSE}format_if_ordered {device}", stubs=["mke2fs"])
    assert (ended.code, ended.calls) == (0, [])


def test_a_disk_that_cannot_be_read_is_not_blank(shell: Shell) -> None:
    device = ordered(shell)
    device.unlink()
    ended = shell(PARTS, f"{NOT}{REFUSE}format_if_ordered {device}", stubs=["mke2fs"])
    assert (ended.code, ended.calls) == (0, [])


def test_what_a_kill_left_of_it_is_formatted_again(shell: Shell) -> None:
    """mke2fs was stopped before it wrote the superblock: nothing there says that this is a filesystem."""
    device = ordered(shell)
    with device.open("r+b") as file:
        file.seek(8 * MIB)
        file.write(b"\xff" * 8192)
    assert shell(PARTS, f"{REFUSE}format_if_ordered {device}").code == 0
    run.run(["e2fsck", "-fn", device])
