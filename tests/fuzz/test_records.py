"""What we wrote down ourselves and somebody changed: records, manifests, indexes, run folders, settings."""

import gzip
import json
import random
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from skinnybox.fleet import settings
from skinnybox.fleet.catalog import completion
from skinnybox.fleet.doctor import examine
from skinnybox.fleet.registry import open_fleet, open_host
from skinnybox.fleet.settings import Settings
from skinnybox.hosts import events
from skinnybox.hosts.guest_io.event_reporter import Teller
from skinnybox.hosts.guest_io.run_folder import read_machine
from skinnybox.hosts.local.store import Store
from skinnybox.hosts.qemu.host import QemuHost
from skinnybox.hosts.record import _sum, from_record, to_record
from skinnybox.masters import catalogue, index, manifest
from skinnybox.model import Instance, Network, Seed, SeedFile, SeedUser, StaticNetwork
from tests.fuzz.conftest import survives
from tests.fuzz.mutate import mutated, twisted
from tests.samples import a_master, an_instance

ME = UUID(int=5)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = "sha256:" + "1" * 64
INSTANCE = an_instance(
    uuid=ME,
    seed=Seed(
        hostname="web-01",
        machine_id="0" * 32,
        network=StaticNetwork(address="10.0.0.5/24", gateway="10.0.0.1", dns=("1.1.1.1",)),
        authorized_keys=("ssh-ed25519 AAAA",),
        files=(SeedFile(path="/etc/motd", content=b"hi\n"),),
        run_once="#!/bin/sh\n",
        users=(SeedUser(name="deploy", groups=("adm",), sudo=True, authorized_keys=("ssh-ed25519 AAAA",)),),
        timezone="Europe/Berlin",
        ntp=("ntp.example",),
        user_data=b"#cloud-config\n",
    ),
    created=NOW,
    ssh_port=20001,
    network=Network.RESTRICTED,
)
MASTER = a_master(id=DIGEST, created=NOW)
ENTRY = {
    "path": "etc/x", "type": "-", "mode": 420, "uid": 0, "gid": 0, "mtime": 1767225600000000000, "size": 3,
    "digest": DIGEST, "xattrs": {"user.a": "AAAA"}, "link": "etc/x",
}  # fmt: skip
MACHINE = {
    "pid": 1, "start_time": 3, "boot_id": "x", "nonce": "ab", "name": "web-01", "thresholds": [80, 95],
    "network": "restricted", "accelerator": "tcg", "started": NOW.isoformat(), "note": "",
}  # fmt: skip
END = {"at": NOW.isoformat(), "reason": "it fell", "nonce": "ab"}
REPORT = {
    "ready": True, "nonce": "ab", "instance": str(ME), "reason": None, "images": [str(ME)],
    "seed_generation": 1, "dax": False, "overlay_size": 10, "overlay_free": 5,
    "addresses": ["eth0 10.0.2.15/24"],
    "ssh_host_keys": ["ssh-ed25519 AAAA"], "kernel": "6.1", "uptime": 1.5, "received": NOW.isoformat(),
}  # fmt: skip


def as_json(value: object, chance: random.Random) -> bytes:
    """Twisted as a value, or broken as bytes."""
    if chance.random() < 0.7:
        return json.dumps(twisted(value, chance)).encode()
    return mutated(
        json.dumps(value).encode(), chance, (b"[" * 5000, b"{}", b"null", b"1e999", b"NaN", b"\xff")
    )


def test_any_record_of_an_instance(rounds: int, chance: random.Random, around: Path) -> None:
    store = Store(around / "inside")
    store.folder(ME).mkdir(parents=True)
    for _ in range(rounds):
        data = as_json(to_record(INSTANCE), chance)
        if chance.random() < 0.7:
            data = _with_its_sum(twisted(to_record(INSTANCE), chance))
        found = survives(_records, store, data)
        if isinstance(found, list):
            for instance in found:
                assert from_record(json.loads(json.dumps(to_record(instance)))) == instance, data


def _with_its_sum(record: object) -> bytes:
    """As somebody would write it who knows how."""
    if isinstance(record, dict):
        values = {key: value for key, value in record.items() if key != "sum"}
        record = {**values, "sum": _sum(values)}
    return json.dumps(record).encode()


def _records(store: Store, data: bytes) -> list[Instance]:
    (store.folder(ME) / "instance.json").write_bytes(data)
    return list(store.records())


def test_any_manifest(rounds: int, chance: random.Random, around: Path) -> None:
    """Also one whose own digest was made to fit."""
    place = around / "inside" / ("1" * 64)
    place.mkdir()
    good = json.loads(manifest.to_manifest(MASTER, index=DIGEST))
    for _ in range(rounds):
        data = as_json(good, chance)
        if chance.random() < 0.7:
            record = twisted(good, chance)
            data = manifest.as_bytes(record) if isinstance(record, dict) else data
        (place / manifest.FILE).write_bytes(data)
        survives(_masters, around / "inside", data)


def _masters(store: Path, shown: bytes) -> None:
    for master in catalogue.masters(store):
        assert all((store / image.file).parent == store for image in master.images)
        assert catalogue.find(store, master.reference) == master


def test_any_index(rounds: int, chance: random.Random, around: Path) -> None:
    file = around / "inside" / "index.jsonl.gz"
    for _ in range(rounds):
        lines = b"".join(as_json(ENTRY, chance) + b"\n" for _ in range(chance.randrange(4)))
        packed = gzip.compress(lines, 1)
        file.write_bytes(mutated(packed, chance) if chance.random() < 0.3 else packed)
        survives(_entries, file, lines)


def _entries(file: Path, shown: bytes) -> list[index.Entry]:
    return list(index.read_index(file))


def test_any_run_folder(few: int, chance: random.Random, around: Path) -> None:
    """No supervisor is started for it: what is damaged counts as not there, or is an error of ours."""
    host = QemuHost(around / "inside")
    host.define(INSTANCE)
    run_folder = around / "inside" / "run" / str(ME)
    run_folder.mkdir(parents=True)
    good = {
        "end.json": END,
        "report.json": REPORT,
        "told.json": {"nonce": "ab", "state": "ready", "level": 1},
    }
    for _ in range(few):
        for name, value in good.items():
            (run_folder / name).write_bytes(as_json(value, chance))
        (run_folder.parent / "events.jsonl").write_bytes(as_json({"number": 1, "kind": "ready"}, chance))
        shown = {name: (run_folder / name).read_bytes() for name in good}
        survives(_looks, host, run_folder, shown)


def _looks(host: QemuHost, run_folder: Path, shown: object) -> None:
    host.statuses()
    host.reports([ME])
    list(host.events())
    Teller(run_folder, ME, MACHINE, events.Journal(run_folder.parent))


def test_any_record_of_a_start(few: int, chance: random.Random, around: Path) -> None:
    host = QemuHost(around / "inside")
    run_folder = around / "inside" / "run" / str(ME)
    run_folder.mkdir(parents=True)
    for _ in range(few):
        data = as_json(MACHINE, chance)
        (run_folder / "machine.json").write_bytes(data)
        survives(_process_of, host, run_folder, data)


def _process_of(host: QemuHost, run_folder: Path, shown: bytes) -> None:
    host._process(ME)
    values = read_machine(run_folder)
    if values is not None:
        Teller(run_folder, ME, values, events.Journal(run_folder))


def test_any_database(few: int, chance: random.Random, around: Path) -> None:
    state = around / "inside" / "state"
    wanted = Settings(state=state, host="memory")
    with open_fleet(wanted) as fleet:
        fleet._catalog.claim([INSTANCE])
    file = state / "state.db"
    whole = file.read_bytes()

    def use(shown: bytes) -> None:
        with closing(open_host(wanted.host, state)) as host:
            examine(state, host)
        with open_fleet(wanted) as fleet:
            fleet.machines()

    for _ in range(few):
        for name in ("state.db-wal", "state.db-shm"):
            (state / name).unlink(missing_ok=True)
        data = mutated(whole, chance, (b"SQLite format 3\0", b"\xff" * 100, b"{}"))
        file.write_bytes(data)
        survives(use, data)
        assert isinstance(completion.machine_names(state), list)


@pytest.mark.parametrize("into", ["file", "environment"])
def test_any_settings(
    rounds: int, chance: random.Random, around: Path, monkeypatch: pytest.MonkeyPatch, into: str
) -> None:
    good = (
        b'state = "/var/lib/x"\nhost = "qemu"\noverlay = "1G"\ncpus = 2\nparallel = 3\noverlay_warning = 80\n'
    )
    (around / "inside" / "skinnybox").mkdir()
    load: Callable[[bytes], object] = _from_file(around) if into == "file" else _from_environment
    for _ in range(rounds):
        data = mutated(
            good, chance, (b"[a]\n", b'"""', b"= -1", b"1e9", b"true", b"\x00", b"[" * 3000, b"9" * 5000)
        )
        found = survives(load, data)
        if isinstance(found, Settings):
            assert found.cpus > 0 and 0 < found.overlay_warning <= 100 and found.boots_at_once > 0


def _from_file(around: Path) -> Callable[[bytes], object]:
    def load(data: bytes) -> object:
        (around / "inside" / "skinnybox" / "config.toml").write_bytes(data)
        return settings.load({"XDG_CONFIG_HOME": str(around / "inside")}, {})

    return load


def _from_environment(data: bytes) -> object:
    pairs = (line.decode("utf-8", "surrogateescape").partition(" = ") for line in data.split(b"\n"))
    names = {f"SKINNYBOX_{key.upper()}": value.strip('"') for key, _, value in pairs}
    return settings.load({"XDG_CONFIG_HOME": "/nonexistent", **names}, {})
