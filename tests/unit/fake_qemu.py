"""A shell script in place of QEMU: it says and does what QEMU was seen to under a KVM that does not work."""

from pathlib import Path

from skinnybox.emulation.trial import Patience

ASSERTION = "kvm_buf_set_msrs: Assertion 'ret == cpu->kvm_msr_buf->nmsrs' failed."
BEGINS = "echo 'Linux version 6.1.0 (debian)'"
LIVES = f"{BEGINS}; echo 'Kernel panic - not syncing: Attempted to kill init! exitcode=0x00002a00'"
DIES = f'echo "qemu: {ASSERTION}" >&2; kill -ABRT $$'
HANGS = "exec sleep 60"
BRIEF, PATIENT = Patience(word=1.0, end=2.0), Patience(word=30.0, end=30.0)


class FakeQemu:
    """What is found as QEMU, and which words it was started with. Open to the user whom a trial runs as."""

    def __init__(self, folder: Path) -> None:
        self._program, self._log = folder / "qemu-system-x86_64", folder / "log"
        self._log.touch()
        self._log.chmod(0o666)

    def does(self, script: str) -> None:
        self._program.write_text(f'#!/bin/sh\necho $$ "$*" >>{self._log}\n{script}\n')
        self._program.chmod(0o755)

    def starts(self) -> list[str]:
        return self._log.read_text().splitlines()
