"""The guest part of the version before, as it lies in masters sealed then: it reads what the host of today
writes, and what it writes is read today."""

import re
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from skinnybox import wire
from skinnybox.hosts.guest_io import reports
from skinnybox.model import Instance, Seed, SeedFile, Stack, StaticNetwork
from skinnybox.model.fields import machine_fields
from skinnybox.overlays.seed import base_message, seed_message
from skinnybox.wire import padded
from tests.guest.conftest import INSTANCE, Ended, Shell
from tests.kept import unpacked
from tests.samples import DIGEST, MASTER, an_instance

Kept = Callable[..., Ended]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHBsZWFzZSBkbyBub3QgdXNlIHRoaXMga2V5ISEh"


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked("program", tmp_path_factory.mktemp("kept") / "program") / "guest"


@pytest.fixture
def kept(shell: Shell, guest: Path) -> Kept:
    """Like `shell`, with the library of the version before."""

    def run(parts: str, script: str) -> Ended:
        return shell("", "".join(f". {guest}/lib/{part}.sh\n" for part in parts.split()) + script)

    return run


def instance() -> Instance:
    """Everything that can be said of a machine today."""
    return an_instance(
        uuid=uuid.UUID(INSTANCE),
        stack=Stack(master=MASTER, reference="tiny:1", images=(DIGEST,), dax=True),
        seed=Seed(
            hostname="web-01",
            machine_id="0123456789abcdef" * 2,
            generation=3,
            network=StaticNetwork(address="10.0.0.5/24", gateway="10.0.0.1", dns=("10.0.0.3", "10.0.0.4")),
            authorized_keys=(KEY,),
            files=(SeedFile(path="/etc/a b", content=bytes(range(256)), mode=0o640, owner="root:root"),),
            run_once="#!/bin/sh\necho ran\n",
        ),
    )


def test_the_kept_guest_reads_base_and_seed_of_today(shell: Shell, kept: Kept) -> None:
    here = instance()
    (shell.tmp / "base").write_bytes(padded(base_message(here), 4096))
    (shell.tmp / "seed").write_bytes(padded(seed_message(here), 16384))
    tmp = shell.tmp
    done = kept("message", f"message_unpack {tmp}/base base {tmp}/b && message_value {tmp}/b instance && "
                f"message_values {tmp}/b image")  # fmt: skip
    assert (done.code, done.out.splitlines()[0]) == (0, INSTANCE)
    assert len(done.out.splitlines()) == 2
    assert kept("message", f"message_unpack {tmp}/seed seed {tmp}/s").code == 0


@pytest.mark.parametrize("dhcp", [False, True])
def test_the_kept_guest_applies_a_seed_of_today(shell: Shell, kept: Kept, dhcp: bool) -> None:
    """Every word that a seed can have today."""
    here = instance()
    if dhcp:
        here = replace(here, seed=replace(here.seed, network=None))
    root = shell.tmp / "root"
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    for name in ("root", "etc/systemd/network", "usr/lib/systemd"):
        (root / name).mkdir(parents=True)
    (root / "usr/lib/systemd/systemd-networkd").touch()
    (shell.tmp / "seed").write_bytes(padded(seed_message(here), 16384))
    done = kept("message applied network seed", "chown() { :; }; set -e\n"
                f"message_unpack {shell.tmp}/seed seed {shell.tmp}/s; seed_apply {shell.tmp}/s")  # fmt: skip
    assert done.code == 0, done.out
    assert (root / "etc/hostname").read_text() == "web-01\n"
    assert (root / "etc/machine-id").read_text() == here.seed.machine_id + "\n"
    assert (root / "etc/a b").read_bytes() == bytes(range(256))
    assert KEY in (root / "root/.ssh/authorized_keys").read_text()
    assert (root / "var/lib/skinnybox/run-once").read_text() == "#!/bin/sh\necho ran\n"


def test_the_host_of_today_reads_an_identity_of_the_kept_guest(shell: Shell, kept: Kept) -> None:
    (shell.tmp / "key").write_text("private\n")
    (shell.tmp / "key.pub").write_text(f"{KEY} skinnybox\n")
    done = kept("message identity", f"identity_of {INSTANCE} {shell.tmp}/key > {shell.tmp}/identity")
    assert done.code == 0, done.out
    text = (shell.tmp / "identity").read_bytes()
    message = wire.decode(text, "identity")
    assert len(text) == 32768
    assert message.get("instance") == INSTANCE
    assert [line.payload for line in message.all("ssh-host-key")] == [
        b"private\n",
        f"{KEY} skinnybox\n".encode(),
    ]


def test_the_host_of_today_reads_a_report_of_the_kept_guest(shell: Shell, kept: Kept) -> None:
    shell.cmdline(f"skinnybox.instance={INSTANCE} skinnybox.nonce=abc123")
    root, proc = shell.tmp / "root", shell.tmp / "proc"
    (proc / "uptime").write_text("12.34 5.6\n")
    (proc / "mounts").write_text("/dev/vda /media/root-ro erofs ro 0 0\n")
    (proc / "sys/kernel").mkdir(parents=True)
    (proc / "sys/kernel/osrelease").write_text("6.1.0-44-cloud-amd64\n")
    (root / "etc/ssh/ssh_host_ed25519_key.pub").write_text(f"{KEY} x\n")
    (shell.tmp / "run/images").write_text(f"{uuid.UUID(int=5)}\n")
    done = kept("message applied host status", "applied_seed() { echo 3 x; }\n"
                "ready_report 'eth0 10.0.0.5/24' 1000000 500000")  # fmt: skip
    assert done.code == 0, done.out
    report = reports.parse(done.out.encode(), uuid.UUID(INSTANCE), "abc123", datetime.now(UTC))
    assert report.ready and report.seed_generation == 3 and report.images == (uuid.UUID(int=5),)
    assert report.addresses == ("eth0 10.0.0.5/24",) and report.ssh_host_keys == (KEY,)
    assert (report.overlay_size, report.overlay_free, report.dax) == (1000000, 500000, False)


def test_a_word_of_tomorrow_in_a_report_is_passed_over() -> None:
    text = wire.encode("report", 1, [
        wire.Line("state", "ready"), wire.Line("nonce", "abc"), wire.Line("instance", INSTANCE),
        wire.Line("mood", "good"),
    ])  # fmt: skip
    assert reports.parse(text, uuid.UUID(INSTANCE), "abc", datetime.now(UTC)).ready


def test_a_seed_with_a_word_of_tomorrow_is_refused_by_the_guest(shell: Shell, kept: Kept) -> None:
    """What was ordered must happen: a later host orders of an older master only what its protocol knows."""
    text = wire.encode("seed", 1, [wire.Line("generation", "1"), wire.Line("mood", "good")])
    (shell.tmp / "seed").write_bytes(text)
    done = kept("message applied network seed",
                f"message_unpack {shell.tmp}/seed seed {shell.tmp}/s; seed_apply {shell.tmp}/s")  # fmt: skip
    assert (done.code, done.out) == (1, "this master does not know what a seed's 'mood' means\n")


def test_the_table_says_which_words_the_kept_guest_does_not_know(guest: Path) -> None:
    known = set(re.findall(r"^    ([a-z-]+)\) seed_", (guest / "lib/seed.sh").read_text(), re.MULTILINE))
    known |= {"generation", "instance", "machine-id"}
    later = {field.word for field in machine_fields() if field.word and field.protocol > 1}
    assert later == {field.word for field in machine_fields() if field.word} - known
