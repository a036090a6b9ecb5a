"""A data disk follows accounts that get other numbers: at the trial, back by a rollback, and through a reset.

The small system has a perl here, which keeps what chown takes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.errors import GuestFailed, TimedOut
from skinnybox.fleet.rebase_rollout import Rollout
from skinnybox.fleet.rebase_run import Stage
from skinnybox.fleet.rebases import Wishes
from skinnybox.fleet.registry import open_fleet
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import Specification
from skinnybox.masters import imports
from skinnybox.masters.guest_part import guest_folder
from skinnybox.model import Acceleration, Allocation, Overlay
from skinnybox.model.datadisk import data_disk
from skinnybox.operation import Operation
from skinnybox.sizes import MIB
from tests.boot.test_encrypted import down, told, up
from tests.faults import small_guest
from tests.pace import within

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]

SECONDS = 240.0
ACCOUNTS = {"1": {"web": 101}, "2": {"redis": 101, "web": 102}, "3": {"web": 103, "redis": 101}}
"""Of the masters; the third never reports."""
CAPABILITY = "0100000200040000000000000000000000000000"
OF_FILE = """#!/usr/bin/perl
# FILE [CAPABILITY]
my ($file, $given) = @ARGV;
my ($name, $found) = ("security.capability", "0" x 64);
if ($given) { my $value = pack("H*", $given); syscall 188, $file, $name, $value, 20, 0; }
syscall 191, $file, $name, $found, 64;
print "$file ", unpack("H40", $found), "\\n";
"""
MAKE = f"""
cd /srv/data; echo 1 >web; chown 101:101 web; chmod 6755 web; echo 2 >able; chown 101:0 able
of-file able {CAPABILITY}; mkdir own; chown 101 own; cp -p web /opt-web; cd /; sync; echo asked-$((1 + 1))
"""
SHOW = """
cd /srv/data; stat -c 'seen %n %u:%g %a' web able own /opt-web; of-file able; cd /; echo asked-$((1 + 1))
"""


def _with_perl(tree: Path) -> None:
    perl = run.find("perl")
    base = next(Path("/usr/lib").glob("*-linux-gnu/perl-base"), None)
    if perl is None or base is None:
        pytest.skip("no perl (Debian: perl-base)")
    words = run.run(["ldd", perl]).stdout.decode().split()
    for path in (perl, *(Path(word) for word in words if word.startswith("/"))):
        (tree / str(path.parent)[1:]).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tree / str(path)[1:])
    shutil.copytree(base, tree / str(base)[1:])
    (tree / "usr/bin/of-file").write_text(OF_FILE)
    (tree / "usr/bin/of-file").chmod(0o755)


def _sealed(store: Path, folder: Path, kernel: Path, version: str) -> None:
    made = small_guest.tree(folder / f"tree-{version}", small_guest.static_busybox())
    shutil.copytree(kernel / "lib/modules", made / "usr/lib/modules", ignore=small_guest._not_needed)
    shutil.copy(guest_folder() / "inits/before-init", made / "usr/lib/skinnybox/before-init")
    for program in ("before-init", "rebase"):
        (made / "usr/lib/skinnybox" / program).chmod(0o755)
    (made / "etc/os-release").write_text('ID=small\nVERSION_ID="1"\nPRETTY_NAME="Small"\n')
    (made / "data/0").write_text(f"zero of {version}\n")
    for name, number in ACCOUNTS[version].items():
        with (made / "etc/passwd").open("a") as passwd, (made / "etc/group").open("a") as group:
            passwd.write(f"{name}:x:{number}:{number}::/:/bin/sh\n")
            group.write(f"{name}:x:{number}:\n")
    _with_perl(made)
    if version == "3":
        init = made / "sbin/init"
        init.write_text(init.read_text().replace("/usr/lib/skinnybox/report &", ": says nothing"))
    imports.import_tree(
        made, store=store, name="small", version=version, as_is=True, unrelated=True,
        kernel=next(kernel.glob("boot/vmlinuz-*")), initrd=None, operation=Operation(),
    )  # fmt: skip
    shutil.rmtree(made)


@pytest.fixture
def fleet(test_kernel: Path, tmp_path: Path) -> Iterator[Fleet]:
    state = tmp_path / "state"
    for version in ACCOUNTS:
        _sealed(state / "masters", tmp_path, test_kernel, version)
    with open_fleet(Settings(state=state, reach=False, accelerator=Acceleration.TCG)) as opened:
        yield opened
        if opened.names():
            opened.delete(opened.names(), force=True)


def shown(fleet: Fleet) -> list[str]:
    lines = [line.strip() for line in told(fleet, "web", SHOW).splitlines()]
    return [line for line in lines if line.startswith(("seen ", "able "))]


def expected(number: int) -> list[str]:
    return [
        f"seen web {number}:{number} 6755",
        f"seen able {number}:0 644",
        f"seen own {number}:0 755",
        f"seen /opt-web {number}:{number} 6755",
        f"able {CAPABILITY}",
    ]


def rebased(fleet: Fleet) -> None:
    how = Rollout(timeout=within(SECONDS), stay_on=frozenset({"web"}))
    [done] = fleet.rebases.run(["web"], "small:2", Wishes(), how)
    log = fleet.console_log("web").decode(errors="replace")[-3000:]
    assert done.error is None and done.value is not None and done.value.stage is Stage.PASSED, (done, log)


def test_files_on_the_data_disk_are_their_accounts_at_each_start(fleet: Fleet) -> None:
    overlay = Overlay(size=96 * MIB, allocation=Allocation.SPARSE)
    data = data_disk(48 * MIB, ["/srv/data"], Allocation.SPARSE)
    fleet.create(["web"], "small:1", Specification(overlay=overlay, memory=192 * MIB, data=data))
    up(fleet, "web")
    told(fleet, "web", MAKE)
    assert shown(fleet) == expected(101)
    down(fleet, "web")

    rebased(fleet)
    assert shown(fleet) == expected(102)
    down(fleet, "web")
    [back] = fleet.rebases.rollback(["web"])
    assert back.error is None, back.error
    up(fleet, "web")
    assert shown(fleet) == expected(101)
    down(fleet, "web")

    [failed] = fleet.rebases.run(["web"], "small:3", Wishes(), Rollout(timeout=within(30)))
    assert isinstance(failed.error, TimedOut | GuestFailed), failed
    up(fleet, "web")
    assert shown(fleet) == expected(101)
    down(fleet, "web")

    rebased(fleet)
    down(fleet, "web")
    assert fleet.rebases.commit(["web"])[0].error is None
    assert fleet.overlays.reset(["web"])[0].error is None
    up(fleet, "web")
    assert shown(fleet) == [line for line in expected(102) if "opt-web" not in line]
    down(fleet, "web")
