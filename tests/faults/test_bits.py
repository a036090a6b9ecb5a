"""One flipped bit anywhere in a state folder: said clearly, mended or without effect.

Never a traceback, and never a damaged master taken for a whole one.
"""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import CREATE, Place, no_bug

pytestmark = pytest.mark.image
SEALED = ("manifest.json", "index.jsonl.gz", "root.erofs", "kernel", "initrd")
RUN_FILES = {
    "machine.json": {
        "pid": 1, "start_time": 1, "boot_id": "0" * 36, "nonce": "ab" * 16, "network": "restricted",
        "accelerator": "tcg", "started": "2026-01-01T00:00:00+00:00",
    },
    "end.json": {"at": "2026-01-01T00:00:00+00:00", "reason": "kernel panic: a test", "nonce": "ab" * 16},
}  # fmt: skip
LOOKS = (
    ("list",),
    ("show", "keep-1"),
    ("changes", "keep-1"),
    ("capacity",),
    ("master", "list"),
    ("doctor",),
)
DEEDS = ((*CREATE, "new"), ("reset", "-y", "keep-1"), ("delete", "-y", "keep-1"))


def flip(file: Path, chance: random.Random) -> int:
    """One bit; half of the times in the first 4 KiB, where what matters most lies. Returns its place."""
    size, mode = file.stat().st_size, file.stat().st_mode
    bit = chance.randrange(8 * chance.choice((size, min(size, 4096))))
    file.chmod(0o600)
    with file.open("r+b") as opened:
        opened.seek(bit // 8)
        byte = opened.read(1)[0]
        opened.seek(bit // 8)
        opened.write(bytes([byte ^ 1 << bit % 8]))
    file.chmod(mode)
    return bit


def kinds(place: Place) -> dict[str, Path]:
    """One file of every kind there is in a state folder; what a start leaves is put there."""
    state = place.state
    uuid = json.loads(place.ok("show", "keep-1", "--format", "json"))[0]["uuid"]
    tiny = Path(json.loads(place.ok("master", "show", "tiny:1", "--format", "json"))["folder"])
    found = {f"master {name}": tiny / name for name in SEALED}
    found |= {"overlay": state / "instances" / uuid / "overlay.img"}
    found |= {"record": state / "instances" / uuid / "instance.json", "database": state / "state.db"}
    found |= {"template": next((state / "templates").iterdir())}
    found |= {name: state / "ssh" / name for name in ("id_ed25519", "id_ed25519.pub")}
    for name, values in RUN_FILES.items():
        found[f"run {name}"] = file = state / "run" / uuid / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    return found


KINDS = ("overlay", "record", "database", "template", "id_ed25519", "id_ed25519.pub",
         *(f"run {name}" for name in RUN_FILES), *(f"master {name}" for name in SEALED))  # fmt: skip


def one_bit(kind: str, place: Place, chance: random.Random) -> None:
    before = shown(place)
    file = kinds(place)[kind]
    if not kind.startswith("run "):
        shutil.rmtree(place.state / "run")
    at = flip(file, chance)
    told = [no_bug(place.cli(*words)) for words in LOOKS]
    if kind.startswith("master "):
        assert no_bug(place.cli("master", "verify", "tiny:1")).code != 0, (kind, at)
    if kind == "record":
        (place.state / "state.db").unlink()
        told.append(no_bug(place.cli("repair", "--yes")))
    if kind in ("record", "database") and all(said.code == 0 for said in told):
        after = shown(place)
        assert after.items() <= before.items(), (kind, at)
        assert all(uuid in told[-1].out for uuid in before.keys() - after.keys()), (kind, at)
    for words in DEEDS:
        no_bug(place.cli(*words))


def shown(place: Place) -> dict[str, object]:
    """Of each machine there is, by its UUID, what does not depend on the moment."""
    records = json.loads(place.ok("list", "--format", "json"))
    keys = ("name", "overlay", "memory", "cpus")
    return {record["uuid"]: {key: record[key] for key in keys} for record in records}


@pytest.mark.parametrize("kind", KINDS)
def test_one_bit(kind: str, copied: Callable[[], Place]) -> None:
    chance = random.Random(f"{kind} 1")
    for _ in range(2):
        one_bit(kind, copied(), chance)


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_many_single_bits(kind: str, copied: Callable[[], Place]) -> None:
    chance = random.Random(f"{kind} 2")
    for _ in range(100):
        one_bit(kind, copied(), chance)
