"""Disks that firmware boots: what is on them, read back with other programs."""

import hashlib
import itertools
import os
import re
from pathlib import Path
from uuid import UUID

import pytest

from skinnybox import run
from skinnybox.errors import Unsupported
from skinnybox.masters import efi
from skinnybox.masters.efi import BOOT_FILE, ESP_TYPE, ROOT_TYPE, Partition
from skinnybox.sizes import KIB, MIB

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(bool(efi.missing()), reason=f"not installed: {' '.join(efi.missing())}"),
]

ONE, TWO, DISK = (UUID(int=number) for number in (1, 2, 3))


def test_a_unified_kernel_holds_what_it_was_given(tmp_path: Path) -> None:
    kernel, initrd = tmp_path / "kernel", tmp_path / "initrd"
    kernel.write_bytes(os.urandom(3 * MIB + 5))
    initrd.write_bytes(os.urandom(2 * MIB + 7))
    program = tmp_path / "program"
    efi.unified_kernel(program, kernel=kernel, initrd=initrd, command_line="root=UUID=1 ro")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["initrd", "kernel", "program"]
    for section, content in ((".linux", kernel), (".initrd", initrd)):
        assert _section(program, section).startswith(content.read_bytes()), section
    assert _section(program, ".cmdline").startswith(b"root=UUID=1 ro\0")
    assert _overlaps(program) == []


def test_nothing_tells_when_it_was_made(tmp_path: Path) -> None:
    """Two hosts make the same disk of one master. Read from the fields: runs within one second are equal."""
    (tmp_path / "kernel").write_bytes(b"k" * KIB)
    digests = []
    for name in ("one", "two"):
        program, esp = tmp_path / name, tmp_path / f"{name}.esp"
        efi.unified_kernel(program, kernel=tmp_path / "kernel", initrd=tmp_path / "kernel", command_line="")
        head = run.run(["objdump", "-p", program], env={"TZ": "UTC"}).stdout.decode()
        assert re.search(r"^Time/Date\t+Thu Jan  1 00:00:00 1970$", head, re.MULTILINE), head[:KIB]
        assert re.search(r"^CheckSum\t+00000000$", head, re.MULTILINE), head[:KIB]
        efi.make_esp(esp, 64 * MIB, 0x1234ABCD, {BOOT_FILE: program})
        listed = run.run(["mdir", "-/", "-i", esp, "::"]).stdout.decode()
        assert set(re.findall(r"\d{4}-\d\d-\d\d", listed)) == {"1980-01-01"}, listed
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in (program, esp)])
    assert digests[0] == digests[1]


def _section(program: Path, name: str) -> bytes:
    out = program.with_name("section")
    run.run(["objcopy", f"--dump-section={name}={out}", program, program.with_name("rest")])
    program.with_name("rest").unlink()
    return out.read_bytes()


def _overlaps(program: Path) -> list[str]:
    """Sections that begin before the one in front of them ends."""
    lines = run.run(["objdump", "-h", program]).stdout.decode().splitlines()
    rows = [line.split() for line in lines if line.strip()[:1].isdigit()]
    placed = sorted((int(row[3], 16), int(row[2], 16), row[1]) for row in rows)
    pairs = itertools.pairwise(placed)
    return [after[2] for before, after in pairs if before[0] + before[1] > after[0]]


def test_a_disk_has_its_partitions_and_its_esp(tmp_path: Path) -> None:
    program, esp, disk = tmp_path / "program", tmp_path / "esp", tmp_path / "disk"
    program.write_bytes(os.urandom(700 * KIB))
    efi.make_esp(esp, 64 * MIB, 0x1234ABCD, {BOOT_FILE: program})
    listed = run.run(["mdir", "-/", "-b", "-i", esp, "::"]).stdout.decode().split()
    assert f"::/{BOOT_FILE}" in listed
    run.run(["fsck.vfat", "-n", esp])

    partitions = (
        Partition(name="esp", kind=ESP_TYPE, uuid=ONE, size=64 * MIB),
        Partition(name="root", kind=ROOT_TYPE, uuid=TWO, size=8 * MIB),
    )
    disk.touch()
    efi.make_table(disk, DISK, partitions)
    starts = efi.offsets(partitions)
    assert starts == [MIB, 65 * MIB, 74 * MIB] and disk.stat().st_size == starts[-1]
    assert "No problems found" in run.run(["sgdisk", "--verify", disk]).stdout.decode()
    for number, partition in enumerate(partitions, start=1):
        said = run.run(["sgdisk", f"--info={number}", disk]).stdout.decode()
        assert str(partition.kind).upper() in said and str(partition.uuid).upper() in said
        assert f"First sector: {starts[number - 1] // 512} " in said and f"'{partition.name}'" in said


def test_missing_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "find", lambda program: None)
    with pytest.raises(Unsupported) as caught:
        efi.require_programs()
    assert caught.value.hint == "sudo apt install binutils dosfstools gdisk mtools"
