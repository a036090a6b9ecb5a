"""Machines with encrypted overlays on a host that only pretends: what is made, done, and refused by name."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from skinnybox import run
from skinnybox.errors import Blocked, Corrupt, NotFound, SkinnyboxError, Unsupported, UsageError
from skinnybox.fleet import present
from skinnybox.fleet.flatten import FlatDisk
from skinnybox.fleet.service import Fleet
from skinnybox.model import Allocation, DataDisk, Encryption, Swap
from skinnybox.sizes import MIB
from tests.fleet.conftest import HOST_KEYS, SPARSE, open_fake, said
from tests.fleet.fleetfile import HEAD, File
from tests.samples import luks2_header, seal

KEY = bytes(range(7, 71))
Said = pytest.CaptureFixture[str]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "web.key"
    file.write_bytes(KEY)
    file.chmod(0o600)
    return file


@pytest.fixture
def web(fleet: Fleet, key: Path) -> Callable[[], Path]:
    """A machine with that key; where its overlay is."""
    fleet.create(["web"], "tiny", replace(SPARSE, encrypt=Encryption(key_file=str(key))))
    return lambda: overlay(fleet, "web")


def overlay(fleet: Fleet, name: str) -> Path:
    return fleet._catalog.path.parent / "instances" / str(fleet.machine(name).instance.uuid) / "overlay.img"


def begun(disk: Path) -> bytes:
    """As if its guest had encrypted it."""
    with disk.open("r+b") as file:
        file.write(luks2_header(b"skinny-overlay", disk.parent.name) + bytes(range(256)) * 64)
    return disk.read_bytes()


def holds(state: Path) -> list[Path]:
    """Where the key is: snapshots, records, the database with its jobs, and what was written of runs."""
    files = [path for path in state.rglob("*") if path.is_file()]
    forms = [KEY, KEY.hex().encode(), base64.b64encode(KEY)]
    return [path for path in files if any(form in path.read_bytes() for form in forms)]


def test_its_disk_is_blank_and_its_key_is_nowhere(
    fleet: Fleet, state: Path, key: Path, web: Callable[[], Path]
) -> None:
    assert web().stat().st_size == 64 * MIB and web().stat().st_blocks == 0
    assert holds(state) == []
    assert fleet.start(["web"])[0].ok
    shown = present.machine(fleet.machine("web"))["encrypt"]
    assert shown == {"key_file": str(state.parent / "web.key")}
    assert fleet.overlays.snapshot(["web"], "then")[0].ok
    key.chmod(0o644)
    fleet.kill(["web"])
    assert KEY not in str(fleet.start(["web"])[0].error).encode()
    assert fleet.jobs.all() and holds(state) == []
    assert fleet.delete(["web"], force=True)[0].ok


def test_without_its_key_it_is_neither_made_nor_started(fleet: Fleet, key: Path, state: Path) -> None:
    wanted = replace(SPARSE, encrypt=Encryption(key_file=str(key)))
    fleet.create(["web"], "tiny", wanted)
    key.unlink()
    assert isinstance(fleet.start(["web"])[0].error, NotFound)
    assert fleet.machine("web").condition == "stopped"
    with pytest.raises(NotFound, match="is not there"):
        fleet.create(["b"], "tiny", wanted)
    key.write_bytes(KEY)
    key.chmod(0o644)
    assert isinstance(fleet.start(["web"])[0].error, Blocked)
    (state / "key").write_bytes(KEY)
    (state / "key").chmod(0o600)
    with pytest.raises(Blocked, match="beside the disks"):
        fleet.create(["b"], "tiny", replace(SPARSE, encrypt=Encryption(key_file=str(state / "key"))))
    assert fleet.names() == ["web"]


def test_what_would_have_to_read_it_is_refused(fleet: Fleet, web: Callable[[], Path], tmp_path: Path) -> None:
    before = begun(web())
    with pytest.raises(Unsupported, match="would have to read it") as refused, fleet.overlays.changes("web"):
        pass
    assert refused.value.hint and "exec web -- skinnybox-guest changes" in refused.value.hint
    with pytest.raises(Unsupported, match="flatten"):
        fleet.overlays.flatten("web", FlatDisk(file=tmp_path / "flat"))
    with pytest.raises(Unsupported, match="seed disk"):
        fleet.overlays.seed_disk("web", tmp_path / "told", master_disk="a", overlay_disk="b", blank=True)
    assert not list(tmp_path.glob("flat*")) and not (tmp_path / "told").exists()
    use = fleet.overlays.use(["web"])[0].error
    assert isinstance(use, Unsupported) and use.hint and "-- skinnybox-guest usage" in use.hint
    given = fleet.overlays.give_data(["web"], 64 * MIB, ["/data"])[0]
    assert isinstance(given.error, UsageError)
    assert web().read_bytes() == before


READS_IT = (
    "changes {name}", "changes {name} --content", "changes {name} other", "changes other {name}",
    "show {name} --usage", "cp {name}:/etc/hostname {folder}/got", "copy {name} b",
    "export {name} {folder}/archive", "flatten {name} {folder}/flat", "promote {name} new:1 -y",
    "promote {name} new:1 --dry-run", "promote {name} new:1 --as-layer -y", "slim {name}",
    "slim {name} --dry-run", "reset {name} /etc -y", "rebase {name} --onto next",
    "rebase {name} --onto next --dry-run",
)  # fmt: skip
"""What has to read the overlay of a machine that is off."""


def refuses_to_read(fleet: Fleet, name: str, why: str, folder: Path, capsys: Said) -> None:
    """Every command that would; none of them leaves anything."""
    state, out, before = folder / "state", folder / "out", overlay(fleet, name).read_bytes()
    out.mkdir()
    seal(state, folder, "next", "1")
    fleet.create(["other"], "tiny", SPARSE)
    for line in READS_IT:
        words = line.format(name=name, folder=out).split()
        ended = said(capsys, "--host", "fake", "--state", str(state), *words)
        assert ended.code == 6 and re.search(why, ended.err), (line, ended)
    assert fleet.names() == sorted(["other", name]) and list(out.iterdir()) == []
    assert {master.name for master in fleet.masters.all()} == {"tiny", "next"}
    assert overlay(fleet, name).read_bytes() == before


def test_no_command_reads_it(fleet: Fleet, web: Callable[[], Path], tmp_path: Path, capsys: Said) -> None:
    begun(web())
    refuses_to_read(fleet, "web", "would have to read it", tmp_path, capsys)


def test_what_is_told_is_told_at_the_next_start(fleet: Fleet, web: Callable[[], Path]) -> None:
    before, was = begun(web()), fleet.machine("web").instance.seed.generation
    assert fleet.overlays.tell(["web"], {"swap": Swap(size=4 * MIB)})[0].ok
    now = fleet.machine("web").instance
    assert now.swap == Swap(size=4 * MIB) and now.seed.generation > was
    assert web().read_bytes() == before


def test_more_than_there_is_room_for_is_told_by_a_reset(file: File, key: Path) -> None:
    long = "x" * 20_000
    file.write(HEAD + f"machines:\n  web: {{encrypt: {key}}}\n")
    assert all(outcome.ok for outcome in file.apply())
    file.write(HEAD + f"machines:\n  web: {{encrypt: {key}, run_once: '{long}'}}\n")
    (outcome,) = file.apply()
    assert isinstance(outcome.error, Blocked) and "16.0K" in outcome.error.message, outcome
    assert all(outcome.ok for outcome in file.apply(reset=frozenset({"web"})))


def test_it_grows_as_it_is(fleet: Fleet, web: Callable[[], Path]) -> None:
    before = begun(web())
    assert fleet.overlays.grow(["web"], 96 * MIB)[0].ok
    assert web().read_bytes() == before + bytes(32 * MIB)


def test_one_that_runs_takes_more_at_its_next_start(
    fleet: Fleet, web: Callable[[], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = begun(web())
    assert fleet.start(["web"])[0].ok
    place = web().stat().st_ino
    grown = fleet.overlays.grow(["web"], 96 * MIB)[0].value
    assert grown and (grown.after, grown.live, grown.followed) == (96 * MIB, True, False)
    assert grown.why and grown.why.endswith("takes what it has more at its next start")
    assert web().read_bytes() == before + bytes(32 * MIB) and web().stat().st_ino == place
    assert fleet.machine("web").instance.overlay.size == 96 * MIB
    fleet.kill(["web"])
    assert fleet.overlays.grow(["web"], 96 * MIB)[0].ok and web().stat().st_ino == place
    assert fleet.start(["web"])[0].ok
    again = fleet.overlays.grow(["web"], 96 * MIB)[0].value
    assert again and again.live and again.followed


def test_what_looks_like_a_filesystem_there_is_no_word_of_its_host(
    fleet: Fleet, web: Callable[[], Path]
) -> None:
    """Its guest may write it over what it encrypted; nobody makes it larger."""
    run.run(["mke2fs", "-q", "-t", "ext4", web(), "32M"])
    before, place = web().read_bytes(), web().stat().st_ino
    assert fleet.overlays.grow(["web"], 64 * MIB)[0].ok
    assert web().stat().st_ino == place
    assert fleet.overlays.grow(["web"], 96 * MIB)[0].ok
    assert web().read_bytes() == before + bytes(32 * MIB)


def test_a_reset_begins_blank(fleet: Fleet, web: Callable[[], Path]) -> None:
    begun(web())
    instance = fleet.machine("web").instance
    fleet._catalog.pin_host_keys(instance.uuid, HOST_KEYS)
    assert fleet.overlays.reset(["web"])[0].ok
    assert web().stat().st_blocks == 0
    assert fleet.machine("web").host_keys == ()
    assert fleet.machine("web").instance.seed.generation == instance.seed.generation + 1


def test_a_snapshot_is_a_copy_that_needs_the_same_key(fleet: Fleet, web: Callable[[], Path]) -> None:
    before = begun(web())
    assert fleet.overlays.snapshot(["web"], "then")[0].ok
    assert fleet.overlays.grow(["web"], 96 * MIB)[0].ok
    assert fleet.overlays.tell(["web"], {"swap": Swap(size=4 * MIB)})[0].ok
    generation = fleet.machine("web").instance.seed.generation
    fleet._catalog.pin_host_keys(fleet.machine("web").instance.uuid, HOST_KEYS)
    assert fleet.overlays.restore(["web"], "then")[0].ok
    assert web().read_bytes() == before + bytes(32 * MIB)
    assert fleet.machine("web").instance.seed.generation > generation
    assert fleet.machine("web").host_keys == ()


def test_a_snapshot_that_is_no_disk_of_its_is_not_put_back(fleet: Fleet, web: Callable[[], Path]) -> None:
    """Also one of another machine, which its guest would refuse."""
    assert fleet.overlays.snapshot(["web"], "blank")[0].ok
    before = begun(web())
    assert fleet.overlays.snapshot(["web"], "then")[0].ok
    (kept,) = web().parent.glob("snapshots/then.img")
    for start in (b"x", luks2_header(b"skinny-overlay", str(UUID(int=7)))):
        with kept.open("r+b") as file:
            file.write(start)
        refused = fleet.overlays.restore(["web"], "then")[0].error
        assert isinstance(refused, Corrupt) and "neither blank nor encrypted for web" in refused.message
    assert web().read_bytes() == before
    with_data = fleet.overlays.restore(["web"], "blank", data=True)[0].error
    assert isinstance(with_data, Blocked) and web().read_bytes() == before
    assert fleet.machine("web").instance.half_restored is None
    assert fleet.overlays.restore(["web"], "blank")[0].ok and web().stat().st_blocks == 0


def test_a_snapshot_without_room_for_its_seed_is_not_put_back(file: File, key: Path) -> None:
    """Its guest would keep the seed of now in the place of then, and not start."""
    file.write(HEAD + f"machines:\n  web: {{encrypt: {key}}}\n")
    assert all(outcome.ok for outcome in file.apply())
    assert file.fleet.overlays.snapshot(["web"], "short")[0].ok
    file.write(HEAD + f"machines:\n  web: {{encrypt: {key}, run_once: '{'x' * 20_000}'}}\n")
    assert all(outcome.ok for outcome in file.apply(reset=frozenset({"web"})))
    refused = file.fleet.overlays.restore(["web"], "short")[0].error
    assert isinstance(refused, Blocked) and "room for a seed" in refused.message
    assert file.fleet.overlays.snapshot(["web"], "long")[0].ok
    assert file.fleet.overlays.restore(["web"], "long")[0].ok


def test_a_new_key_at_each_start(fleet: Fleet, key: Path) -> None:
    fleet.create(["kiosk"], "tiny", replace(SPARSE, encrypt=Encryption()))
    fleet._catalog.pin_host_keys(fleet.machine("kiosk").instance.uuid, HOST_KEYS)
    assert fleet.start(["kiosk"])[0].ok
    assert fleet.machine("kiosk").host_keys == ()
    fleet.kill(["kiosk"])
    kept = fleet.overlays.snapshot(["kiosk"], "then")[0].error
    assert isinstance(kept, Unsupported) and "new key at each start" in kept.message


def test_who_cannot_encrypt(fleet: Fleet, key: Path, state: Path, tmp_path: Path,
                            monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    wanted = replace(SPARSE, encrypt=Encryption(key_file=str(key)))
    seal(state, tmp_path, "old", "1", protocol=2)
    with pytest.raises(Unsupported, match="does not know encrypt"):
        fleet.create(["a"], "old", wanted)
    data = DataDisk(size=64 * MIB, folders=("/data",), allocation=Allocation.SPARSE)
    with pytest.raises(UsageError, match="data disk"):
        fleet.create(["a"], "tiny", replace(wanted, data=data))
    monkeypatch.setattr(type(fleet._host), "features", replace(fleet._host.features, encrypts=False))
    with pytest.raises(Unsupported, match="kept nowhere"):
        fleet.create(["a"], "tiny", wanted)
    assert fleet.names() == []


def test_each_has_a_key_of_its_own(fleet: Fleet, key: Path) -> None:
    each = replace(SPARSE, encrypt=Encryption(key_file=f"{key.parent}/{{name}}.key"))
    with pytest.raises(NotFound, match=r"db\.key is not there"):
        fleet.create(["web", "db"], "tiny", each)
    assert fleet.names() == []
    key.with_name("db.key").write_bytes(KEY)
    key.with_name("db.key").chmod(0o600)
    fleet.create(["web", "db"], "tiny", each)
    assert all(outcome.ok for outcome in fleet.start(["*"]))


def test_a_plan_makes_it_and_never_changes_it(file: File, key: Path) -> None:
    own = f'"{key.parent}/{{name}}.key"'
    file.write(HEAD + f"machines:\n  web: {{encrypt: {own}}}\n  kiosk: {{encrypt: random}}\n  db:\n")
    assert all(outcome.ok for outcome in file.apply())
    assert file.fleet.machine("web").instance.encrypt == Encryption(key_file=f"{key.parent}/{{name}}.key")
    assert file.fleet.machine("kiosk").instance.encrypt == Encryption()
    assert file.plan() == []
    kiosk = file.fleet.machine("kiosk").instance
    file.fleet._catalog.pin_host_keys(kiosk.uuid, HOST_KEYS)
    file.write(file.path.read_text().replace("encrypt: random", "encrypt: random, state: running"))
    assert all(outcome.ok for outcome in file.apply())
    assert file.fleet.machine("kiosk").host_keys == ()
    file.fleet.kill(["kiosk"])
    file.write(HEAD + f"machines:\n  web: {{encrypt: random}}\n  kiosk:\n  db: {{encrypt: {key}}}\n")
    assert file.plan() == ["blocked web", "blocked kiosk", "blocked db"]
    file.write(HEAD + "machines:\n  web: {data: 64M}\n")
    assert file.plan() == ["blocked web", "blocked web"]
    for wrong in ("web.key", "5", "[a]", "/a/../b"):
        file.write(HEAD + f"machines:\n  web: {{encrypt: {wrong}}}\n")
        with pytest.raises(UsageError, match=r"fleet.yaml:5:\d+"):
            file.plan()


def test_a_plan_without_the_key_makes_nothing(file: File, key: Path) -> None:
    file.write(HEAD + f"machines:\n  web: {{encrypt: {key}}}\n")
    key.unlink()
    (outcome,) = file.apply()
    assert isinstance(outcome.error, SkinnyboxError) and "is not there" in outcome.error.message
    assert file.fleet.names() == []


def test_the_command_line(
    fleet: Fleet, state: Path, key: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(key.parent)
    way = ("--host", "fake", "--state", str(state))
    create = (*way, "create", "-m", "tiny", "--sparse", "--overlay", "64M")
    assert said(capsys, *create, "web", "--encrypt", key.name).code == 0
    assert said(capsys, *create, "kiosk", "--encrypt", "random").code == 0
    shown = said(capsys, *way, "show", "web", "kiosk").out
    assert f"encrypt:         {key}\n" in shown and "encrypt:         random\n" in shown
    listed = json.loads(said(capsys, *way, "show", "web", "--format", "json").out)
    assert listed[0]["encrypt"] == {"key_file": str(key)}
    refused = said(capsys, *way, "changes", "web")
    assert refused.code == 6 and "skinnybox-guest changes" in refused.err
    with open_fake(state) as again:
        assert again.machine("web").instance.encrypt == Encryption(key_file=str(key))
