"""What is heard of the small machine, with a program in QEMU's place: it may say anything, or nothing."""

import os
import shlex
import time
from pathlib import Path

import pytest

from skinnybox.appliance import appliance
from skinnybox.appliance.appliance import PROGRAM, Appliance
from skinnybox.emulation import accelerator
from skinnybox.emulation.board import Accelerator
from skinnybox.errors import GuestFailed, NotStarted, TimedOut
from skinnybox.sandbox import confinement

KERNEL, INITRD = b"kernel", b"sealed initrd"


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the program lies that is called QEMU, and does what the file `says` says."""
    program = tmp_path / "bin" / "qemu-system-x86_64"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n. {shlex.quote(str(tmp_path / 'says'))}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(accelerator, "choose", lambda *_: Accelerator.TCG)
    monkeypatch.setattr(confinement, "_weak", True)  # a script is not to be confined
    (tmp_path / "kernel").write_bytes(KERNEL)
    (tmp_path / "initrd").write_bytes(INITRD)
    return tmp_path


def heard(scratch: Path, monkeypatch: pytest.MonkeyPatch, says: str, seconds: float = 60.0) -> list[str]:
    """What it says beside its end."""
    (scratch / "says").write_text(f"{says}\n")
    found: list[str] = []
    wanted = Appliance(
        kernel=scratch / "kernel", initrd=scratch / "initrd", program=b"#!/bin/sh\n", files={"more": b"x"},
        words="", disks=(), user=None, seconds=seconds,
    )  # fmt: skip
    try:
        appliance.operate(wanted, "flatten", found.append, scratch)
    finally:
        assert not list(scratch.glob(".appliance-*")), "it left something behind"
    return found


def test_what_it_says_is_passed_on_until_it_is_done(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    says = (
        "echo booting; echo 'flatten: 1/2'; printf '\\033[2Jflatten: 2/2\\r\\n'; echo flatten: done; echo off"
    )
    assert heard(scratch, monkeypatch, says) == ["1/2", "2/2"]


def test_what_cannot_be_shut_in_is_not_begun(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "_weak", False)
    with pytest.raises(NotStarted, match="could not be confined"):
        heard(scratch, monkeypatch, "echo flatten: done")


def test_why_it_failed_is_said(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GuestFailed, match=r"^flatten: no room$"):
        heard(scratch, monkeypatch, "echo 'flatten: failed no room'; sleep 60")


@pytest.mark.parametrize(
    ("says", "last"),
    [
        ("echo 'flatten: 1/2'; echo 'Kernel panic'; echo", "Kernel panic"),
        ("true", "it said nothing"),
        ("echo done; echo 'other: done'", "other: done"),
    ],
)
def test_an_end_without_a_word_is_a_failure(
    scratch: Path, monkeypatch: pytest.MonkeyPatch, says: str, last: str
) -> None:
    with pytest.raises(GuestFailed, match=f"ended too early: {last}"):
        heard(scratch, monkeypatch, says)


def test_one_that_hangs_is_stopped(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    with pytest.raises(TimedOut, match="took too long"):
        heard(scratch, monkeypatch, "echo 'flatten: 1/2'; exec sleep 60", seconds=0.5)
    assert time.monotonic() - began < 30


def test_one_that_prints_for_ever_is_stopped(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GuestFailed, match="says too much"):
        heard(scratch, monkeypatch, "exec yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")


def test_its_program_lies_over_the_sealed_initrd(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen_file = shlex.quote(str(scratch / "seen"))
    says = f'for w; do case $w in */fd/*) cat "$w" >>{seen_file};; esac; done; echo flatten: done'
    heard(scratch, monkeypatch, says)
    seen = (scratch / "seen").read_bytes()
    assert seen.startswith(KERNEL + INITRD + bytes(-len(INITRD) % 4) + b"070701")
    assert PROGRAM.encode() in seen and b"#!/bin/sh\n" in seen and seen.count(b"TRAILER!!!") == 1
