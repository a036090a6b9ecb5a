"""A machine of one release replayed onto the next, without a boot: real dpkg and apt, real disks and an
overlayfs, and what the appliance runs of its own, on trees of a few packages with a busybox.

Requirements: root, apt, gpg, busybox (static), mkfs.erofs.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.appliance.appliance import Appliance
from skinnybox.delta.rebase import doing, masters, planning
from skinnybox.delta.rebase.replay import Replay
from skinnybox.delta.rebase.rules import Policy
from skinnybox.fleet import rebase_replay
from skinnybox.fleet.catalog.rows import Phase
from skinnybox.fleet.rebase_replay import Replaying
from skinnybox.fleet.view import MachineView
from skinnybox.masters import catalogue
from skinnybox.model import Master
from skinnybox.operation import Operation
from skinnybox.package_cache.archive import opened
from tests.boot.year import blocks
from tests.guest.test_replay import function
from tests.image.debianlike import tree
from tests.image.debs import deb
from tests.image.mirrors import KEY, mirrored
from tests.image.overlaid import Machine
from tests.samples import an_instance, seal

pytestmark = [
    pytest.mark.image,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting an overlay needs root"),
    pytest.mark.skipif(not all(map(run.find, ("apt-get", "gpg", "busybox"))), reason="needs apt and gpg"),
]
BASE, IMAGES = b"skinnybox-base 1\nimage sha256:1 2\nend\n", ["sha256:1"]
STEPS = (
    "at", "names", "wrong", "install", "bring_diverted", "make_links", "run_after", "prepare_apt",
    "note_disabled", "say_disabled",
)  # fmt: skip
UNITS = ("judge_units", "has_unit", "is_started", "has_link", "successor")
OF_THE_MASTER = ("dpkg", "base", "less", "nano", "bc")
WANTS = "etc/systemd/system/multi-user.target.wants"
MARKS = "var/lib/apache2/module"
APP = f"""mkdir -p /etc/app/enabled /{WANTS}
[ "$1" = configure ] && [ -n "$2" ] || ln -sf ../available/default /etc/app/enabled/default
ln -sf /usr/lib/systemd/system/app.service /{WANTS}/app.service
[ -n "$2" ] || for each in off on; do
    rm -f /{MARKS}/*/$each && mkdir -p /{MARKS}/enabled_by_maint && touch /{MARKS}/enabled_by_maint/$each
done
echo "app $*" >>/var/log/ran
"""
UNIT = "[Install]\nWantedBy=multi-user.target\n"


def packages(folder: Path, number: int) -> dict[str, Path]:
    """Of release 1 or 2, by their names."""

    def made(name: str, more: Mapping[str, str] | None = None, depends: str = "", **control: str) -> Path:
        fields = f"Package: {name}\nVersion: {number}\nArchitecture: {'amd64' if name == 'dpkg' else 'all'}\n"
        text = f"{fields}{depends}Maintainer: t <t@example>\nDescription: {name}\n"
        files = {f"usr/bin/{name}": f"#!/bin/sh\necho {number}\n", **(more or {})}
        conffiles = tuple(path for path in files if path.startswith("etc/"))
        return deb(
            folder, name, str(number), files, control={"control": text, **control}, conffiles=conffiles
        )

    app = {
        "etc/app.conf": f"its = {number}\n", "etc/app.d/extra": f"{number}\n", "etc/app.d/gone": "g\n",
        "etc/app/available/default": "d\n", "etc/app/available/more": "m\n",
        "usr/bin/replaced": f"{number}\n", "usr/lib/systemd/system/app.service": UNIT,
    }  # fmt: skip
    names = ("dpkg", "base", "less", "nano", "bc", f"lib{number}", "friend", "stranger")
    needs = f"Depends: lib{number}\nRecommends: friend, stranger\n"
    return {name: made(name) for name in names} | {"app": made("app", app, needs, postinst=APP)}


def with_a_system(root: Path, release: int, files: list[Path]) -> None:
    """With programs of busybox for maintainer scripts."""
    tree(root, str(release))
    for link in ("bin", "sbin"):
        (root / link).symlink_to("usr/bin")
    shutil.copy(run.find("busybox") or "", root / "usr/bin/busybox")
    for name in ("sh", "ln", "rm", "mkdir", "cat", "env", "touch"):
        (root / "usr/bin" / name).symlink_to("busybox")
    for folder in ("dev", "proc", "run", "tmp", "var/log", "var/lib/dpkg/updates", "var/lib/apt"):
        (root / folder).mkdir(parents=True)
    (root / "etc/apt").mkdir()
    dpkg(root, "-i", *map(str, files))


def dpkg(root: Path, *words: str) -> None:
    run.run(["dpkg", f"--root={root}", f"--log={root}/var/log/dpkg.log", *words])


LIVED = """
export DPKG_FORCE=not-root
dpkg --root="$PWD" --log=/dev/null -i {debs}/lib1_1.deb {debs}/friend_1.deb {debs}/app_1.deb
dpkg --root="$PWD" --log=/dev/null -r less
dpkg --root="$PWD" --log=/dev/null -P nano
echo app hold | dpkg --root="$PWD" --set-selections
printf 'Package: %s\\nArchitecture: amd64\\nAuto-Installed: 1\\n\\n' lib1 friend >var/lib/apt/extended_states
echo mine >>etc/app.conf
rm etc/app/enabled/default etc/app.d/gone
ln -s ../available/more etc/app/enabled/more
for each in off on own; do
    rm -f var/lib/apache2/module/*/$each
    mkdir -p var/lib/apache2/module/disabled_by_admin etc/apache2/mods-enabled
    touch var/lib/apache2/module/disabled_by_admin/$each
done
ln -s /srv/data etc/apache2/mods-enabled/on.load
echo own >usr/bin/own
mkdir -p var/lib/skinnybox srv
echo data >srv/data
printf 'skinnybox-active-units 1\\nunit app.service\\nend\\n' >var/lib/skinnybox/active-units
"""
# The steps of the appliance on the view that this runs in, with this computer's dpkg and apt, and its own sh.
AGAIN = """
given={given} view=$PWD
mount -t tmpfs run run
mkdir run/packages
mount -o loop,ro {disk} run/packages
trap 'cd /; umount "$view/run/packages" "$view/run"' EXIT
inside() {{
    shift
    case "$*" in
    apt-*)
        local program="$1"
        shift
        APT_CONFIG=run/apt.conf "$program" -o Dir::State=$view/var/lib/apt -o Dir::Log=$view/run \\
            -o Dir::State::status=$view/var/lib/dpkg/status -o DPkg::Options::=--root="$view" "$@" ;;
    dpkg*) shift; dpkg --root="$view" "$@" ;;
    *set-selections*) dpkg --root="$view" --set-selections <run/holds ;;
    sh*) chroot "$view" "$@" ;;
    esac </dev/null
}}
finish() {{ echo "replay: done"; exit 0; }}
refuse() {{ echo "replay: failed $*"; exit 0; }}
SAID={given} MOST_LINES=40 INSTALL_SECONDS=60 SECONDS_EACH=60 TASKS=var/lib/skinnybox/rebase
WISHES={given}/wishes RUN={given} VIEW=$view
{steps}
prepare_apt
note_disabled
install
bring_diverted
make_links
say_disabled
run_after
judge_units
finish
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A machine of the first release, which is to live on the second; all in one folder."""

    folder: Path
    machine: Machine
    debs: Path
    files: tuple[masters.Files, masters.Files]
    new: Master
    picture: Path

    def lives(self, more: str = "") -> None:
        self.machine.sh(LIVED.format(debs=self.debs) + more)

    def replayed(self, monkeypatch: pytest.MonkeyPatch, *after: str) -> tuple[Replay, Machine, list[str]]:
        """What was to be done again, the machine on its new master, and what was noted."""
        made = self.folder / "new.img"
        made.touch()
        os.truncate(made, self.machine.image.stat().st_size)
        policy = Policy(replay=True)
        with planning.planned(self.machine.image, *self.files, policy, IMAGES) as found:
            assert [each for each in found if each.standing != "clean"] == []
        sides = (self.machine.image, made)
        done = doing.build(*sides, self.files, policy, (IMAGES, IMAGES), Operation(), identifier="f00d")
        assert done.replay is not None
        new = Machine.__new__(Machine)
        new.folder, new.image, new.lower = self.machine.folder, made, self.folder / "tree-web-2"
        monkeypatch.setattr(rebase_replay, "operate", partial(self._operate, new))
        notes: list[str] = []
        how = Replaying(archive=partial(opened, self.picture, self.folder), after=after)
        view = MachineView(instance=an_instance("web"), phase=Phase.DEFINED)
        rebase_replay.reinstalled(
            made, view, self.new, self.picture.parent, done.replay, how, self.folder,
            Operation(log=notes.append),
        )  # fmt: skip
        return done.replay, new, notes

    def _operate(
        self, new: Machine, appliance: Appliance, name: str, heard: Callable[[str], None], _: Path
    ) -> None:
        given = self.folder / "given"
        given.mkdir()
        for path, content in appliance.files.items():
            (given / path).write_bytes(content)
        (disk,) = (each.file for each in appliance.disks if each.serial == "skinny-packages")
        view = str(self.machine.folder / "merged")
        steps = "".join(map(function, (*STEPS, *UNITS)))
        for there, here in (("/new", view), ("/lower", str(new.lower)), ('"/run/', f'"{view}/run/')):
            steps = steps.replace(there, here)
        steps = steps.replace(":/run/packages", f":{view}/run/packages")
        for path in appliance.files:
            steps = re.sub(rf"(?<=[ <])/{path}\b", str(given / path), steps)
        script = AGAIN.format(given=given, disk=disk, steps=steps)
        for line in new.act("/bin/sh", "-c", script).decode().splitlines():
            heard(line.removeprefix(f"{name}: "))


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    one, two = tmp_path / "tree-web-1", tmp_path / "tree-web-2"
    debs = tmp_path / "debs"
    debs.mkdir()
    first, state = packages(debs, 1), tmp_path / "state"
    with mirrored(tmp_path / "mirror") as mirror, ExitStack() as held:
        second = packages(mirror.folder, 2)
        mirror.publish()
        with_a_system(one, 12, [first[name] for name in OF_THE_MASTER])
        with_a_system(two, 13, [second[name] for name in OF_THE_MASTER])
        (two / "etc/apt/sources.list").write_text(mirror.source())
        (two / KEY).parent.mkdir(parents=True)
        (two / KEY).write_bytes(mirror.key)
        sealed = [seal(state, tmp_path, "web", each, unrelated=True) for each in "12"]
        files = [held.enter_context(masters.opened(state / "masters", each, state)) for each in sealed]
        machine = Machine(_made(tmp_path / "machine"), tmp_path / "cache", BASE)
        machine.lower.rmdir()
        machine.lower = one
        picture = catalogue.folder(state / "masters", sealed[1]) / sealed[1].images[0].file
        yield Case(
            folder=tmp_path, machine=machine, debs=debs, files=(files[0], files[1]), new=sealed[1],
            picture=picture,
        )  # fmt: skip


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


LOOK = """
say() { echo "== $1"; shift; "$@" 2>&1 || echo "ended with $?"; }
say audit dpkg --root="$PWD" --audit
say verify dpkg --root="$PWD" --verify
say packages dpkg-query --admindir=var/lib/dpkg -W -f '${db:Status-Abbrev}${Package} ${Version}\\n'
say files cat etc/app.conf etc/app.d/extra usr/bin/own srv/data srv/after
say enabled ls etc/app/enabled etc/systemd/system/multi-user.target.wants
say auto sh -c 'grep Package: var/lib/apt/extended_states | sort'
cd usr/bin
say gone ls -d lib1 less nano stranger ../lib/friend/bc ../../run/apt.conf ../../etc/app.d/gone
say diverted sh -c 'for each in replaced replaced.distrib base base.distrib bc; do tail -n 1 $each; done'
cd ../..
say diversions dpkg-divert --root "$PWD" --list '*'
say tasks cat var/lib/skinnybox/rebase
cd var/lib/apache2/module
say marks sh -c 'ls -d */*'
"""
# Of what the master has, of what a package has that the machine brought, and one of a package's.
DIVERTED = """
for path in usr/bin/base usr/bin/replaced; do
    dpkg-divert --root "$PWD" --local --rename --add /$path
    echo "my $path" >$path
done
mkdir usr/lib/friend
dpkg-divert --root "$PWD" --package friend --rename --divert /usr/lib/friend/bc --add /usr/bin/bc
"""


def looked(machine: Machine) -> dict[str, str]:
    return blocks(machine.act("/bin/sh", "-c", LOOK).decode())


def test_a_machine_goes_on_upon_the_next_release(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.lives()
    replay, new, notes = case.replayed(monkeypatch, "echo after >/srv/after")
    assert replay == Replay(
        install=("app",), automatic=("friend", "lib1"), purge=("less", "nano"), hold=("app",),
        links=(
            ("etc/app/enabled/more", "../available/more"),
            (f"{WANTS}/app.service", "/usr/lib/systemd/system/app.service"),
        ),
        off=("etc/app/enabled/default",),
        deleted=("etc/app.d/gone",),
    )  # fmt: skip
    found = looked(new)
    assert (found["audit"], notes) == ("", [])
    # What was edited, and what was deleted, is the administrator's.
    assert found["verify"].splitlines() == ["??5?????? c /etc/app.conf", "missing   c /etc/app.d/gone"]
    assert found["packages"].splitlines() == [
        "hi app 2", "ii base 2", "ii bc 2", "ii dpkg 2", "ii friend 2", "ii lib2 2",
    ]  # fmt: skip
    assert found["files"].splitlines() == ["its = 1", "mine", "2", "own", "data", "after"]
    assert found["enabled"].split() == ["etc/app/enabled:", "more", f"{WANTS}:", "app.service"]
    assert found["auto"].split()[1::2] == ["friend", "lib2"]
    assert found["gone"].count("cannot access") == 7, found["gone"]
    assert found["tasks"].splitlines()[2:] == ["unit app.service", "end"]
    # What nobody enabled is off because the administrator said so, not because nobody knows why.
    assert found["marks"].split() == ["disabled_by_admin/off", "disabled_by_admin/own", "enabled_by_maint/on"]


def test_what_was_diverted_is_the_machines_and_beside_it_is_the_new_releases(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine's own was lost, and the older release's stayed beside it: where nobody would upgrade it,
    and in the way of a package that diverts."""
    case.lives(DIVERTED)
    _, new, _ = case.replayed(monkeypatch)
    found = looked(new)
    assert found["diverted"].splitlines() == [
        "my usr/bin/replaced", "2", "my usr/bin/base", "echo 2", "echo 2"
    ]  # fmt: skip
    assert sorted(line.split()[3] for line in found["diversions"].splitlines()) == [
        "/usr/bin/base", "/usr/bin/replaced"
    ]  # fmt: skip
    assert found["gone"].count("cannot access") == 7, found["gone"]
    assert found["audit"] == "" and "replaced" not in found["verify"] and "base" not in found["verify"]
