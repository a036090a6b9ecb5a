"""What the appliance that installs packages again does with what fails; tests/boot has it with a real apt."""

import re
from pathlib import Path

import pytest

from skinnybox import run
from tests.guest.conftest import GUEST, Shell
from tests.image.debs import deb

PROGRAM = GUEST / "appliance/replay"
FAILED = """Setting up apache2 (2) ...
no luck
dpkg: error processing package apache2 (--configure):
 installed apache2 package post-installation script subprocess returned error exit status 1
Errors were encountered while processing:
 apache2
E: Sub-process /usr/bin/dpkg returned an error code (1)
"""
UNMET = """Reading package lists...
The following packages have unmet dependencies:
 own : Depends: other but it is not installable
E: Unable to correct problems, you have held broken packages.
"""


def function(name: str) -> str:
    text = "".join(PROGRAM.with_name(part).read_text() for part in ("replay", "view", "services"))
    return text[text.index(f"\n{name}() {{") + 1 :].partition("\n}\n")[0] + "\n}\n"


def said(shell: Shell, tmp_path: Path, script: str, *names: str, more: str = "") -> list[str]:
    """`finish` and `refuse` end it, as they do in there."""
    text = PROGRAM.read_text()
    policy = text[text.index("POLICY_TEXT=") :].partition("\nPOLICY_LINK")[0]
    begin = (
        f"SAID={tmp_path} MOST_LINES=40 SECONDS_EACH=9 {policy}\n"
        f"POLICY={tmp_path}/policy-rc.d POLICY_LINK=''\n"
        f"RUN={tmp_path}/run WISHES={tmp_path}/wishes TASKS=tasks\n"
        "finish() { echo replay: done; exit 0; }\nrefuse() { echo replay: failed $*; exit 0; }\n"
    )
    (tmp_path / "run").mkdir(exist_ok=True)
    ended = shell("", f"{begin}{''.join(map(function, ('at', *names)))}{more}\n{script}")
    assert ended.code == 0, ended.out
    return ended.out.splitlines()


def wrong(shell: Shell, tmp_path: Path, text: str, code: int = 100) -> list[str]:
    (tmp_path / "step").write_text(text)
    script = f"try() {{ return {code}; }}\ntry || wrong install {tmp_path}/step"
    return said(shell, tmp_path, script, "wrong")


@pytest.mark.parametrize("text", ["", "\n\n", "é\n", "   \n" * 9, "\a\b\n", " " * 400 + "x\n"])
def test_what_fails_is_told_whatever_it_says(shell: Shell, tmp_path: Path, text: str) -> None:
    assert "replay: install it ended with 3" in wrong(shell, tmp_path, text, 3)


@pytest.mark.parametrize("code", [124, 137])
def test_what_takes_too_long_is_told_as_such(shell: Shell, tmp_path: Path, code: int) -> None:
    assert wrong(shell, tmp_path, "", code) == [
        "replay: late install it took too long, and was ended", "replay: done",
    ]  # fmt: skip


def test_a_script_that_fails_is_told_with_what_it_said(shell: Shell, tmp_path: Path) -> None:
    first, *others = wrong(shell, tmp_path, FAILED)
    assert first.startswith("replay: install dpkg: error processing package apache2 (--configure): installed")
    assert first.endswith("and before that: no luck")
    assert others == ["replay: install it ended with 100", "replay: done"]


def test_what_apt_says_of_packages_that_do_not_go_together_is_told(shell: Shell, tmp_path: Path) -> None:
    assert wrong(shell, tmp_path, UNMET)[:2] == [
        "replay: install own : Depends: other but it is not installable",
        "replay: install E: Unable to correct problems, you have held broken packages.",
    ]


def test_what_is_told_is_bounded(shell: Shell, tmp_path: Path) -> None:
    found = wrong(shell, tmp_path, "".join(f"E: {number}{'x' * 5000}\n" for number in range(500)))
    assert len(found) == 42
    assert max(map(len, found)) == len("replay: install ") + 300


def test_a_full_disk_is_told_as_such(shell: Shell, tmp_path: Path) -> None:
    text = "dpkg: error processing archive a.deb (--unpack):\n cannot copy: No space left on device\n"
    assert wrong(shell, tmp_path, text) == ["replay: failed the disk is full"]


HOLD = ("hold_services", "write_policy", "release_services")


def held(shell: Shell, tmp_path: Path, between: str = ":") -> list[str]:
    # Nothing is mounted here: what lies below stays.
    stubs = 'mount() { echo "mount $3 $4"; }\numount() { return 1; }\n'
    return said(shell, tmp_path, f"hold_services\n{between}\nrelease_services", *HOLD, more=stubs)


def test_nothing_of_ours_stays_where_no_policy_was(shell: Shell, tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    assert held(shell, tmp_path, f"cat {policy}; [ -x {policy} ] && echo runs") == [
        "#!/bin/sh", "exit 101", "runs",
    ]  # fmt: skip
    assert not policy.exists()


def test_a_policy_of_the_machine_is_mounted_over_and_stays(shell: Shell, tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n")
    assert held(shell, tmp_path) == [f"mount {tmp_path}/run/policy-rc.d {policy}"]
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"


@pytest.mark.parametrize("there", [True, False])
def test_a_policy_that_is_a_link_is_not_written_through(shell: Shell, tmp_path: Path, there: bool) -> None:
    """It leads somewhere else from the appliance than in the machine."""
    policy, target = tmp_path / "policy-rc.d", tmp_path / "target"
    if there:
        target.write_text("mine\n")
    policy.symlink_to(target)
    assert held(shell, tmp_path, f"cat {policy}") == ["#!/bin/sh", "exit 101"]
    assert policy.readlink() == target
    assert target.exists() is there and (not there or target.read_text() == "mine\n")


def test_a_policy_that_a_package_brought_meanwhile_stays(shell: Shell, tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    held(shell, tmp_path, f"echo brought >{policy}")
    assert policy.read_text() == "brought\n"


def test_nothing_is_installed_where_services_could_start(shell: Shell, tmp_path: Path) -> None:
    script = f"POLICY={tmp_path}/none/policy-rc.d\nhold_services 2>/dev/null\necho on"
    assert said(shell, tmp_path, script, *HOLD) == [
        "replay: failed services cannot be kept from starting",
    ]  # fmt: skip


UNITS = {
    "apache2.service": "[Install]\nWantedBy=multi-user.target\n",
    "php8.2-fpm.service": "[Install]\nWantedBy=multi-user.target\n",
    "htcacheclean.service": "[Install]\nWantedBy=multi-user.target\n",
    "static.service": "[Service]\nExecStart=/bin/true\n",
    "by-socket.service": "[Install]\nAlso=by-socket.socket\n",
    "a@.service": "[Install]\nWantedBy=multi-user.target\n",
}
STARTED = ("apache2.service", "php8.2-fpm.service", "by-socket.socket", "a@one.service")
RAN = (
    "apache2.service", "php7.4-fpm.service", "htcacheclean.service", "static.service", "by-socket.service",
    "a@one.service", "a@two.service", "gone.service", "said.service", "old.service", "off.service",
)  # fmt: skip


def test_what_ran_is_there_and_started_or_told(shell: Shell, tmp_path: Path) -> None:
    """Debian 12's apache brings a service that ran on 11, and nothing starts it: the trial waited for it."""
    view, units = tmp_path / "view", tmp_path / "view/usr/lib/systemd/system"
    wants = view / "etc/systemd/system/multi-user.target.wants"
    for folder in (units, wants, view / "etc/init.d", view / "etc/rc2.d"):
        folder.mkdir(parents=True)
    for name, text in UNITS.items():
        (units / name).write_text(text)
    for name in STARTED:
        (wants / name).symlink_to(f"/usr/lib/systemd/system/{name}")
    for name in ("old", "off"):
        (view / "etc/init.d" / name).write_text("#!/bin/sh\n")
    (view / "etc/rc2.d/S01old").symlink_to("../init.d/old")
    (view / "tasks").write_text("skinnybox-rebase 1\n" + "".join(f"unit {name}\n" for name in RAN) + "end\n")
    (tmp_path / "wishes").write_text("without said.service\n")
    names = ("judge_units", "has_unit", "is_started", "has_link", "successor")
    found = said(shell, tmp_path, "judge_units", *names, more=f"VIEW={view}")
    there = ["apache2", "php8.2-fpm", "static", "by-socket", "a@one", "old"]
    assert (view / "tasks").read_text().splitlines() == [
        "skinnybox-rebase 1", *(f"unit {name}.service" for name in there), "end"
    ]  # fmt: skip
    lost = [line.removeprefix("replay: lost ") for line in found if "lost" in line]
    assert [line.split()[0] for line in lost] == [
        "htcacheclean.service", "a@two.service", "gone.service", "off.service"
    ]  # fmt: skip
    assert "nothing starts it" in lost[0] and "nothing" not in lost[2]


INSIDE = ("inside", "left")
SECONDS = 'chroot() { shift; shift 2; while [ "$1" != timeout ]; do shift; done; echo "$4 seconds: $5"; }\n'


@pytest.mark.parametrize(
    ("limit", "of_all", "up", "said_then"),
    [
        (900, 5700, 100, "900 seconds: apt-get"),
        (4800, 5700, 1200, "4500 seconds: apt-get"),
        (900, 5700, 5699, "1 seconds: apt-get"),
        (900, 5700, 5700, "ended with 124"),
        (900, 5700, 9999, "ended with 124"),
    ],
)
def test_no_step_goes_on_when_the_time_of_all_is_over(
    shell: Shell, tmp_path: Path, limit: int, of_all: int, up: int, said_then: str
) -> None:
    """The host ends it then, and could not say which it was."""
    (tmp_path / "seconds").write_text(f"{of_all}\n")
    (tmp_path / "uptime").write_text(f"{up}.93 4711.00\n")
    places = f"SECONDS_FILE={tmp_path}/seconds UPTIME={tmp_path}/uptime\n{SECONDS}"
    script = f'inside {limit} apt-get install || echo "ended with $?"'
    assert said(shell, tmp_path, script, *INSIDE, more=places) == [said_then]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("web-01\n", "web-01"), ("web-01.example\nmore\n", "web-01.example"), ("x" * 200, "x" * 64),
        ("", "localhost"), ("\n", "localhost"), ("-x\n", "localhost"), ("a b\n", "localhost"),
        ("$(id)\n", "localhost"), ("a\0b\n", "ab"), (None, "localhost"),
    ],
)  # fmt: skip
def test_scripts_find_the_machines_own_name(
    shell: Shell, tmp_path: Path, text: str | None, name: str
) -> None:
    """ssl-cert writes it into a certificate, exim into its settings."""
    if text is not None:
        (tmp_path / "hostname").write_text(text)
    stub = f'inside() {{ shift 3; head -c "$1" {tmp_path}/hostname; }}\nHOSTNAME_FILE={tmp_path}/called\n'
    said(shell, tmp_path, "name_it", "name_it", more=stub)
    assert (tmp_path / "called").read_text() == name


@pytest.mark.skipif(run.find("dpkg-deb") is None, reason="needs dpkg")
def test_what_the_machines_dpkg_is_told_otherwise_does_not_hold(tmp_path: Path) -> None:
    """With dpkg itself: its own settings are always read, here those of a home."""
    options = re.findall(r'"(-[^"]+)"', function("prepare_apt").partition("Dpkg::Options {")[2])
    (tmp_path / ".dpkg.cfg").write_text("force-confnew\npath-exclude=/usr/share/doc/*\n")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "var/lib/dpkg/updates").mkdir(parents=True)
    (root / "var/lib/dpkg/info").mkdir()
    (root / "var/lib/dpkg/status").touch()
    (root / "etc/tool.conf").write_text("mine\n")
    files = {"etc/tool.conf": "its\n", "usr/share/doc/tool/a": "a"}
    file = deb(tmp_path, "tool", "1", files, conffiles=("etc/tool.conf",))
    environment = {"HOME": str(tmp_path)}
    words = [f"--root={root}", "--force-not-root", "--force-script-chrootless", f"--log={tmp_path}/log"]
    run.run(["dpkg", *words, *options, "-i", file], env=environment)
    assert (root / "etc/tool.conf").read_text() == "mine\n"
    assert (root / "usr/share/doc/tool/a").exists()


def test_the_machines_own_settings_of_apt_are_not_read() -> None:
    """Who says `APT::Default-Release` names a release that is not in here, and all that comes later wins."""
    text = function("prepare_apt")
    for key in ("Main", "Parts", "Preferences", "PreferencesParts", "SourceParts"):
        assert f'Dir::Etc::{key} "/run/nothing' in text
