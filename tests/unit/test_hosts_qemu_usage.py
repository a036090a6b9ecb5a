"""What the kernel counts of a process, read for what it is."""

import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

from skinnybox.hosts.qemu.usage import of_process

MIB = 1 << 20


def test_a_process_that_works_is_seen_to() -> None:
    before = of_process(os.getpid())
    assert before is not None
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    held = mmap.mmap(-1, 64 * MIB)
    for page in range(0, 64 * MIB, 4096):
        held[page] = 1
    after = of_process(os.getpid())
    held.close()
    assert after is not None and 0.2 < after.cpu - before.cpu < 2
    assert 60 * MIB < after.memory - before.memory < 80 * MIB


def test_what_it_maps_of_a_file_is_not_its_own(tmp_path: Path) -> None:
    file = tmp_path / "master"
    file.write_bytes(os.urandom(MIB) * 48)
    code = (
        "import mmap, sys; f = open(sys.argv[1], 'rb'); m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ);"
        "sum(m[i] for i in range(0, len(m), 4096)); print('mapped', flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", code, str(file)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"mapped\n"
        found = of_process(child.pid)
        child.communicate()
    assert found is not None and found.memory < 32 * MIB


def test_one_that_is_gone() -> None:
    with subprocess.Popen(["true"]) as child:
        pass
    assert of_process(child.pid) is None
