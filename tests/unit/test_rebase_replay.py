"""A replay: packages are all the new release's, and what the machine had beyond its master comes again."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skinnybox.delta.rebase import ordering, planning, replay, services, tasks, whole
from skinnybox.delta.rebase.packages import versions
from skinnybox.delta.rebase.replay import Otherwise, Replay
from skinnybox.delta.rebase.rules import Choice, Policy
from skinnybox.delta.rebase.values import Decision, Fate, Standing
from skinnybox.errors import UsageError
from skinnybox.masters.system.values import Package, System
from tests.unit import rebased_disk, recorded
from tests.unit.rebased import WHITEOUT, Thing, a_package, a_system, d, decided, f, l, md5, told
from tests.unit.rebased_disk import Rebase, Rebased, overlay, shown, without_confinement
from tests.unit.recorded import Changed, Seen

REPLAY = Policy(replay=True)
STATUS, MARKS = b"var/lib/dpkg/status", b"var/lib/apt/extended_states"
HELPER = b"var/lib/systemd/deb-systemd-helper-enabled/"
WANTS = b"etc/systemd/system/multi-user.target.wants/"
LINKS = (("etc/systemd/system/a.wants/b\\x2d.c@1.service", "/lib/systemd/system/b@.service"),)

cache, rebased = rebased_disk.cache, rebased_disk.rebased


def of_release(system: System, version: str = "13") -> System:
    return replace(system, release={"id": "debian", "version_id": version})


def lists(old: System, new: System, machine: System, auto: Sequence[str] = ()) -> Replay:
    return replay.of(decisions(old, new, machine, auto))


def decisions(old: System, new: System, machine: System, auto: Sequence[str] = ()) -> list[Decision]:
    settled = {each.name: replay.settled(each) for each in versions(old, new, machine)}
    assert all(each.fate is Fate.TAKE for each in settled.values())
    return list(replay.decisions(settled, dict.fromkeys(((name, "amd64") for name in auto), False), machine))


# --- which packages


def test_what_was_asked_for_comes_again_and_what_it_needed_with_it() -> None:
    old, new = a_system("base=1"), a_system("base=2")
    found = lists(old, new, a_system("base=1", "apache2=1", "libapr1=1"), auto=["libapr1"])
    assert found == Replay(install=("apache2",), automatic=("libapr1",))


def test_what_both_masters_have_is_the_new_ones_whatever_the_machine_upgraded() -> None:
    assert lists(a_system("a=1", "b=1"), a_system("a=3", "b=3"), a_system("a=2", "b=1")) == Replay()


def test_what_the_new_master_has_already_needs_nobody_to_install_it() -> None:
    assert lists(a_system(), a_system("redis=2"), a_system("redis=1")) == Replay()


def test_what_the_machine_had_of_its_master_and_the_new_one_has_not_is_told() -> None:
    """Nobody asks for it again: whoever relied on it has to know."""
    found = decisions(a_system("apache2=1", "b=1"), a_system("b=2"), a_system("apache2=1", "b=1"))
    assert [(each.name, each.fate) for each in found] == [("apache2", Fate.TAKE)]
    assert "no more" in found[0].detail


def test_what_was_removed_is_removed_again_as_far_as_it_is_there() -> None:
    left = a_package("nano", status="deinstall ok config-files")
    old, new = a_system("nano=1", "git=1", "less=1"), a_system("nano=2", "less=2")
    found = lists(old, new, replace(a_system(), packages=(left,)))
    assert found == Replay(remove=("nano",), purge=("less",))
    assert found.gone == ("nano", "less")


def test_what_was_held_is_held_again_but_not_what_its_master_held() -> None:
    old, new = a_system("k=1", "tree=1"), a_system("k=2", "tree=2")
    kernel, tree = a_package("k", status="hold ok installed"), a_package("tree", status="hold ok installed")
    held = replace(old, packages=(kernel, a_package("tree")))
    assert lists(held, new, replace(old, packages=(kernel, tree))).hold == ("tree",)


def test_what_a_machine_installed_and_held_is_installed_and_held_again() -> None:
    machine = replace(a_system(), packages=(a_package("tree", status="hold ok installed"),))
    assert lists(a_system(), a_system(), machine) == Replay(install=("tree",), hold=("tree",))


def test_what_was_held_and_is_gone_is_asked_about() -> None:
    """It comes again of the new release, held, or is given up; a kernel is its master's."""
    old = a_system("tree=1", "linux-image-1=1", "tree:i386=1")
    held = [a_package(name, status="hold ok installed") for name in ("tree", "linux-image-1", "tree:i386")]
    for on_hold, fate, wanted in (
        (Fate.ASK, "ask conflict", Replay(hold=("tree",))),
        (Fate.KEEP, "reinstall clean", Replay(install=("tree",), hold=("tree",))),
        (Fate.TAKE, "take clean", Replay()),
    ):
        settled = {each.name: replay.settled(each) for each in versions(old, a_system(), a_system(*held))}
        found = list(replay.decisions(settled, {}, a_system(*held), on_hold))
        said = {each.name: f"{each.fate} {each.standing}" for each in found}
        assert said == {"tree": fate, "linux-image-1": "take clean", "tree:i386": "take clean"}
        kept = [each for each in found if each.name == "tree"]
        assert replay.of(kept) == wanted


@pytest.mark.parametrize("name", ["linux-image-6.1.0-9-amd64", "zfs-dkms", "grub-pc"])
def test_no_kernel_comes_again(name: str) -> None:
    found = decisions(a_system(), a_system(), a_system(f"{name}=1"))
    assert [each.fate for each in found] == [Fate.REPORT] and "kernel" in found[0].detail


def test_another_architecture_is_blocked_by_name() -> None:
    both = a_package("libc6"), Package(name="libc6", version="1", architecture="i386")
    machine = replace(a_system(), packages=both)
    found = decisions(a_system("libc6=1"), a_system("libc6=2"), machine)
    assert [(each.name, each.standing) for each in found] == [("libc6:i386", Standing.BLOCKED)]


def test_a_name_that_tells_apt_to_remove_is_none() -> None:
    """Of a machine that says it has a package `dpkg-`."""
    found = decisions(a_system(), a_system(), a_system("dpkg-=1", "g++=1"))
    assert [(each.name, each.standing) for each in found] == [
        ("dpkg-", Standing.BLOCKED), ("g++", Standing.CLEAN)
    ]  # fmt: skip
    with pytest.raises(ValueError, match="name"):
        replay.checked([["dpkg-"], [], [], [], [], [], [], [], []])


def test_somebody_says_what_comes_otherwise() -> None:
    found = Replay(install=("php7.4-fpm", "own", "tree"), remove=("nano",), purge=("own",), hold=("tree",))
    said = Otherwise(without=frozenset({"own", "nano"}), instead={"php7.4-fpm": "php-fpm"})
    assert said.of(found) == Replay(install=("php-fpm", "tree"), hold=("tree",))
    followed = Replay(automatic=("a1", "own", "php7.4-fpm"), hold=("php7.4-fpm",))
    assert said.of(followed) == Replay(automatic=("a1",))
    for wrong in ("", "-o", "a b", "$(x)", "a\n"):
        with pytest.raises(UsageError):
            Otherwise(without=frozenset({wrong}))
        with pytest.raises(UsageError):
            Otherwise(instead={"a": wrong})


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        [[], [], [], [], [], [], [], []],
        [["-o=x"], [], [], [], [], [], [], [], []],
        [[], ["a b"], [], [], [], [], [], [], []],
        [[1], [], [], [], [], [], [], [], []],
        [["ok"] * 5001, [], [], [], [], [], [], [], []],
        [[], [], [], [], [], [["etc/a"]], [], [], []],
        [[], [], [], [], [], [["etc/a", 1]], [], [], []],
        [[], [], [], [], [], [["etc/../a", "b"]], [], [], []],
        [[], [], [], [], [], [["usr/a", "b"]], [], [], []],
        [[], [], [], [], [], [["etc/a\nb", "c"]], [], [], []],
        [[], [], [], [], [], [["etc/a", "b c"]], [], [], []],
        [[], [], [], [], [], [["etc/a", "b"]] * 2001, [], [], []],
        [[], [], [], [], [], [], [["editor", "bin/vi"]], [], []],
        [[], [], [], [], [], [], [["../x", "/bin/vi"]], [], []],
        "abc",
    ],
)
def test_lists_of_who_read_a_strangers_disk_are_checked(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        replay.checked(value)
    told = Replay(
        install=("a1",), automatic=("a2",), remove=("b1",), purge=("b2",), hold=("c+1",), links=LINKS,
        off=("etc/off",), alternatives=(("editor", "/bin/vi"),), deleted=("etc/gone",),
    )  # fmt: skip
    names = [["a1"], ["a2"], ["b1"], ["b2"], ["c+1"]]
    assert (
        replay.checked([*names, list(map(list, LINKS)), [["editor", "/bin/vi"]], ["etc/off"], ["etc/gone"]])
        == told
    )
    with pytest.raises(ValueError, match="no path"):
        replay.checked([*names, [], [], ["usr/off"], []])
    with pytest.raises(ValueError, match="no path"):
        replay.checked([*names, [], [], [], ["usr/gone"]])


def test_a_policy_crosses_with_it() -> None:
    import json

    assert planning.as_policy(json.loads(planning.policy_text(REPLAY))) == REPLAY
    assert not planning.as_policy(json.loads(planning.policy_text(Policy()))).replay


# --- between which releases


def test_only_from_debian_to_debian_and_from_dpkg_to_dpkg() -> None:
    old = a_system("a=1")
    assert whole.another_release(old, of_release(old), old, REPLAY) is None
    merged = whole.another_release(old, of_release(old), old, Policy())
    assert merged is not None and merged.standing is Standing.BLOCKED and "--replay" in merged.detail
    ubuntu = replace(old, release={"id": "ubuntu", "version_id": "24.04"})
    for new, word in ((ubuntu, "ubuntu"), (replace(old, manager="rpm", packages=None), "rpm"),
                      (replace(old, manager=None, packages=None), "no package manager")):  # fmt: skip
        found = whole.another_release(old, new, old, REPLAY)
        assert found is not None and found.standing is Standing.BLOCKED and word in found.detail


# --- files


def test_the_system_is_the_new_ones_and_what_was_configured_stays() -> None:
    old = {"etc/a.conf": f("1"), "usr/bin/a": f("1"), "usr/local/bin/b": f("1"), "usr/lib/gone": f("1")}
    new = {"etc/a.conf": f("2"), "usr/bin/a": f("2"), "usr/local/bin/b": f("2")}
    upper = {path: f("mine") for path in old}
    found = told(upper, old, new, policy=REPLAY)
    assert found["etc/a.conf"].endswith("keep") and found["usr/local/bin/b"].endswith("keep")
    assert found["usr/bin/a"].endswith("take") and found["usr/lib/gone"].endswith("take")
    assert told({"etc/a.conf": f("1x\n")}, {"etc/a.conf": f("1x")}, new, policy=REPLAY)
    said = told(upper, old, new, policy=Policy(replay=True, on_conflict=Choice.FAIL, take=("/etc/a.conf",)))
    assert said["etc/a.conf"] == "changed: take" and said["usr/bin/a"].endswith("ask conflict")


def test_what_was_altered_below_usr_is_the_new_ones_though_both_masters_have_it_alike() -> None:
    """Else who altered a file that did not change keeps it, and the others do not."""
    same = {"usr/bin/a": f("1"), "usr/local/bin/b": f("1"), "etc/a.conf": f("1")}
    found = told({path: f("mine") for path in same}, same, same, policy=REPLAY)
    assert found["usr/bin/a"].endswith("take")
    assert found["usr/local/bin/b"].endswith("keep") and found["etc/a.conf"].endswith("keep")
    assert told({"usr/bin/a": f("1", mode=0o4755)}, same, same, policy=REPLAY)["usr/bin/a"].endswith("keep")
    ours = Policy(replay=True, on_conflict=Choice.OURS)
    assert told({"usr/bin/a": f("mine")}, same, same, policy=ours)["usr/bin/a"].endswith("keep")
    gone = told(dict.fromkeys(same, WHITEOUT), same, same, policy=REPLAY)
    assert gone["usr/bin/a"].endswith("take") and gone["etc/a.conf"].endswith("keep")
    assert told({"usr/bin/a": f("mine")}, same, same)["usr/bin/a"].endswith("keep")


def test_a_conffile_that_was_deleted_stays_so_though_its_package_was_upgraded(rebased: Rebased) -> None:
    """As dpkg has it, and as it is where the machine did nothing to the package."""
    listed = {"p:amd64": ("etc/p.conf", "usr/bin/p")}
    old, new = ({b"etc/p.conf": f(n), b"usr/bin/p": f(n)} for n in "13")
    upper = {
        b"etc/p.conf": WHITEOUT, b"usr/bin/p": WHITEOUT, STATUS: f(_stanza("p", "2")),
        b"var/lib/dpkg/info/p.list": f("/etc/p.conf\n/usr/bin/p\n"),
    }  # fmt: skip
    systems = (a_system("p=1"), of_release(a_system("p=3")))
    after = shown(rebased(upper, old, new, policy=REPLAY, systems=systems, files=(listed, listed)))
    assert b"etc/p.conf" in after and b"usr/bin/p" not in after
    without = {path: t for path, t in upper.items() if path != STATUS} | {STATUS: f("")}
    after = shown(rebased(without, old, new, policy=REPLAY, systems=systems, files=(listed, listed)))
    assert b"etc/p.conf" not in after  # of a package that was purged: its new master's scripts see to that


def test_where_packages_come_from_is_nobodys_to_guess() -> None:
    old, new = {"etc/apt/sources.list": f("deb x 12")}, {"etc/apt/sources.list": f("deb x 13")}
    upper = {"etc/apt/sources.list": f("deb y 12"), "etc/apt/sources.list.d/own.list": f("deb z 12")}
    found = {each.name: each for each in decided(upper, old, new, policy=REPLAY)}
    assert found["etc/apt/sources.list"].standing is Standing.CONFLICT
    own = found["etc/apt/sources.list.d/own.list"]
    assert own.standing is Standing.CLEAN and "old release" in own.detail
    taken = Policy(replay=True, take=("/etc/apt/sources.list",))
    assert told(upper, old, new, policy=taken)["etc/apt/sources.list"].endswith("take")


def test_below_a_folder_that_became_a_link_nothing_of_its_own_is_lost() -> None:
    """/lib is a link to usr/lib from one release to the next."""
    old, new = {"lib": d(), "lib/a": f("1")}, {"lib": l("usr/lib"), "usr/lib/a": f("2")}
    assert told({"lib/own.service": f("mine")}, old, new, policy=REPLAY)["lib/own.service"].endswith(
        "blocked"
    )
    assert told({"lib/a": f("1")}, old, new, policy=REPLAY)["lib/a"].endswith("take")
    taken = Policy(replay=True, take=("/lib",))
    assert told({"lib/own.service": f("mine")}, old, new, policy=taken)["lib/own.service"].endswith("take")


def _stanza(
    name: str, version: str, *conffiles: tuple[str, str], status: str = "install ok installed"
) -> str:
    told = "".join(f"\n /{path} {digest}" for path, digest in conffiles)
    return (
        f"Package: {name}\nStatus: {status}\nArchitecture: amd64\nVersion: {version}\n"
        + (f"Conffiles:{told}\n" if conffiles else "")
        + "\n"
    )


def _web(unit: str = "web.service") -> dict[bytes, Thing]:
    """A machine that has installed and enabled a server beyond its master, and lived with it."""
    default, ports, load = md5(b"default"), md5(b"80"), md5(b"load")
    conffiles = {"etc/web/default.conf": default, "etc/web/ports.conf": ports, "etc/web/mods/php1.load": load}
    status = _stanza("base", "1") + _stanza("web", "1", *conffiles.items())
    files = "/usr/sbin/web\n/usr/share/web/page\n/usr/lib/systemd/system/web.service\n"
    files += "".join(f"/{path}\n" for path in conffiles)
    sums = "".join(f"{md5(b'web 1')}  {path[1:]}\n" for path in files.split()[:3])
    return {
        STATUS: f(status),
        b"var/lib/dpkg/info/web.list": f(files),
        b"var/lib/dpkg/info/web.md5sums": f(sums),
        b"var/lib/dpkg/info/left.postrm": f("#!/bin/sh"),
        b"usr/sbin/web": f("web 1"),
        b"usr/share/web/page": f("mine"),
        b"usr/lib/systemd/system/web.service": f("web 1"),
        b"etc/web/default.conf": f("default"),
        b"etc/web/ports.conf": f("8080"),
        b"etc/web/mods/php1.load": f("load"),
        b"etc/web/on/php1.load": l("../mods/php1.load"),
        b"etc/web/on/own.load": l("/srv/own.load"),
        b"etc/web/on/never.load": l("../mods/never.load"),
        WANTS + unit.encode(): l(f"/usr/lib/systemd/system/{unit}"),
        WANTS + b"base.service": l("/usr/lib/systemd/system/base.service"),
        b"etc/systemd/system/off.service": l("/dev/null"),
        HELPER + b"multi-user.target.wants/web.service": f(),
        HELPER + b"web.service.dsh-also": f("/etc/systemd/system/multi-user.target.wants/web.service\n"),
        HELPER + b"cron.service.dsh-also": f("/etc/systemd/system/multi-user.target.wants/cron.service\n"),
        b"var/www/site": f("mine", uid=33),
        b"srv/own.load": f("mine"),
        b"usr/share/old": WHITEOUT,
    }


def _masters() -> tuple[dict[bytes, Thing], dict[bytes, Thing]]:
    def tree(version: str) -> dict[bytes, Thing]:
        return {
            STATUS: f(_stanza("base", version) + _stanza("gone", version)),
            b"usr/lib/systemd/system/base.service": f(version),
            b"usr/share/old": f(version),
            b"var/lib/dpkg/info/gone.list": f("/usr/share/old\n"),
        }

    return tree("1"), tree("2")


MORE: dict[str, Any] = {
    "policy": REPLAY,
    "systems": (a_system("base=1", "gone=1"), of_release(a_system("base=2", "gone=2"))),
    "files": ({"gone:amd64": ("usr/share/old",)}, {"gone:amd64": ("usr/share/old",)}),
}


def test_what_a_package_brought_goes_and_all_else_stays(rebased: Rebased) -> None:
    before = _web()
    after = shown(rebased(before, *_masters(), **MORE))
    for path in (
        b"usr/sbin/web", b"usr/lib/systemd/system/web.service", b"etc/web/default.conf",
        b"var/lib/dpkg/info/web.list", b"var/lib/dpkg/info/web.md5sums", b"var/lib/dpkg/info/left.postrm",
        STATUS, b"usr/share/old",
    ):  # fmt: skip
        assert path not in after, path
    for path in (
        b"etc/web/ports.conf", b"etc/web/on/own.load", b"etc/web/on/never.load", b"var/www/site",
        b"srv/own.load", b"etc/systemd/system/off.service", WANTS + b"base.service",
        HELPER + b"cron.service.dsh-also",
    ):  # fmt: skip
        assert after[path] == before[path], path


def test_folders_that_packages_made_go_when_nothing_is_left_in_them(rebased: Rebased) -> None:
    upper = _web() | {b"usr/lib/web/empty": d(), b"srv/empty": d(), b"usr/share/web": d()}
    after = rebased(upper, *_masters(), **MORE)
    assert b"usr/lib/web" not in after and b"usr/sbin" not in after
    assert b"srv/empty" in after and b"usr/share/web/page" in after


def test_links_to_what_goes_are_not_left_and_nobody_takes_their_lack_for_a_wish(rebased: Rebased) -> None:
    after = shown(rebased(_web(), *_masters(), **MORE))
    for path in (
        b"etc/web/on/php1.load", WANTS + b"web.service", HELPER + b"multi-user.target.wants/web.service",
        HELPER + b"web.service.dsh-also",
    ):  # fmt: skip
        assert path not in after, path


@pytest.mark.parametrize("pinned", [(), ("/usr/share/base/x",)])
def test_a_link_to_what_was_altered_goes_with_it(pinned: tuple[str, ...], rebased: Rebased) -> None:
    """The new release has no such file. The machine's goes, as all that is altered there, and the link led
    nowhere."""
    old, new = _masters()
    target = b"usr/share/base/x"
    upper = _web() | {target: f("altered"), b"etc/own/link": l("/usr/share/base/x")}
    policy = Policy(replay=True, pin=pinned)
    after = shown(rebased(upper, {**old, target: f("1")}, new, **MORE | {"policy": policy}))
    assert (target in after) == (b"etc/own/link" in after) == bool(pinned)


def test_a_link_that_nobody_could_make_again_stays(rebased: Rebased) -> None:
    strange = b"etc/web/on/a b.load"
    after = shown(rebased(_web() | {strange: l("../mods/php1.load")}, *_masters(), **MORE))
    assert strange in after and b"etc/web/on/php1.load" not in after


def test_who_had_disabled_it_is_believed(rebased: Rebased) -> None:
    upper = _web()
    del upper[WANTS + b"web.service"]
    after = shown(rebased(upper, *_masters(), **MORE))
    assert HELPER + b"web.service.dsh-also" in after


def test_the_lists_cross_to_the_host(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_confinement(monkeypatch)
    upper = _web() | {
        b"etc/web/mods/off.load": f("disabled"),
        MARKS: f("Package: lib\nArchitecture: amd64\nAuto-Installed: 1\n"),
        STATUS: f(_web()[STATUS].content.decode() + _stanza("lib", "1")),
    }
    disk = overlay(tmp_path / "old.img", cache, upper)
    rebase = Rebase(tmp_path, monkeypatch, **MORE)
    _, told = rebase.of(disk, *_masters())
    assert replay.checked(told[2][4]) == Replay(
        install=("web",), automatic=("lib",), purge=("gone",), links=(
            ("etc/systemd/system/multi-user.target.wants/web.service", "/usr/lib/systemd/system/web.service"),
            ("etc/web/on/php1.load", "../mods/php1.load"),
        ),
        off=("etc/web/on/off.load",),
    )  # fmt: skip
    rebase.policy, rebase.systems = Policy(), (MORE["systems"][0],) * 2
    _, told = rebase.of(disk, *_masters())
    assert told[2][4] is None and ordering.MOST_TOLD


# --- records


def _records(upper: dict[str, recorded.Thing], new: dict[str, recorded.Thing]) -> dict[str, bytes | str]:
    """Where the machine installed `own`, and both masters have `base`."""
    three = versions(a_system("base=1"), a_system("base=2"), a_system("base=1", "own=1"))
    packages = {each.name: replay.settled(each) for each in three}
    return recorded.after(recorded.sides({}, new, upper, packages=packages, policy=REPLAY))


@pytest.mark.parametrize("name", ["config.dat", "passwords.dat", "templates.dat"])
def test_what_a_package_was_answered_it_finds_when_it_comes_again(name: str) -> None:
    path = f"var/cache/debconf/{name}"
    mine = b"Name: own/x\nTemplate: own/x\nValue: mine\nOwners: own\n\n"
    theirs = b"Name: base/x\nTemplate: base/x\nOwners: base\n\n"
    assert _records({path: mine}, {path: theirs})[path] == theirs + mine


def test_a_question_of_both_is_the_masters_and_its_own() -> None:
    path = "var/cache/debconf/config.dat"
    mine, theirs = (
        f"Name: x\nTemplate: x\nValue: {value}\nOwners: {owners}\n\n".encode()
        for value, owners in (("mine", "base, own"), ("theirs", "base"))
    )
    assert _records({path: mine}, {path: theirs})[path] == mine


def test_what_ucf_saw_of_a_package_that_comes_again_it_still_knows() -> None:
    """Else a file that nobody altered is taken for an administrator's, and is never brought up to date."""
    upper: dict[str, recorded.Thing] = {
        "var/lib/ucf/hashfile": b"1  /etc/own.ini\n1  /etc/base.ini\n",
        "var/lib/ucf/registry": b"own /etc/own.ini\nbase /etc/base.ini\n",
        "var/lib/ucf/cache/:etc:own.ini": b"seen",
    }
    new: dict[str, recorded.Thing] = {
        "var/lib/ucf/hashfile": b"2  /etc/base.ini\n",
        "var/lib/ucf/registry": b"base /etc/base.ini\n",
    }
    after = _records(upper, new)
    assert after["var/lib/ucf/hashfile"] == b"2  /etc/base.ini\n1  /etc/own.ini\n"
    assert after["var/lib/ucf/registry"] == b"base /etc/base.ini\nown /etc/own.ini\n"
    assert after["var/lib/ucf/cache/:etc:own.ini"] == b"seen"


# --- services


def test_what_ran_is_waited_for_though_its_package_is_yet_to_come() -> None:
    active = "skinnybox-active-units 1\nunit php7.4-fpm.service\nunit base.service\nunit never.service\nend\n"
    old = {"usr/lib/systemd/system/base.service": b"", "usr/lib/systemd/system/never.service": b""}
    upper = {"usr/lib/systemd/system/php7.4-fpm.service": b"", tasks.ACTIVE: active.encode()}
    new = {"usr/lib/systemd/system/base.service": b""}
    nothing: services.Wants = frozenset()
    sides, wants = (Seen(old), Seen(new), Changed(old, upper)), (nothing, nothing, nothing)
    assert tasks.units(sides, wants) == ("base.service", "php7.4-fpm.service")
    assert "never.service" in tasks.units(sides, wants, replay=True)
