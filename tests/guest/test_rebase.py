"""rebase.sh and tasks.sh: what a rebase has left is done once, by a few known words, and its result kept."""

import re
from pathlib import Path

import pytest

from tests.guest.conftest import GUEST, Ended, Shell

PARTS = "host tasks rebase"
HEAD = "skinnybox-rebase 1\nid 0af3\n"
PROGRAMS = (
    "dpkg", "ldconfig", "update-ca-certificates", "locale-gen", "systemd-hwdb", "journalctl",
    "systemd-sysusers", "update-mime-database", "glib-compile-schemas", "update-icon-caches",
)  # fmt: skip
QUIET = """send_report() { while read -r line; do echo "told $line" >>"$RUN/told"; done <"$1"; }
sync() { :; }
mount() { echo mount "$@" >>"$RUN/mounted"; }
umount() { echo umount "$@" >>"$RUN/mounted"; }
"""


@pytest.fixture(autouse=True)
def machine(shell: Shell) -> None:
    for folder in ("var/lib/skinnybox", "var/log", "usr/sbin", "bin", "var/lib/dpkg"):
        (shell.tmp / "root" / folder).mkdir(parents=True, exist_ok=True)
    (shell.tmp / "systemd").mkdir()
    for name in PROGRAMS:
        program(shell, name, f'echo "{name} $* offline=${{SYSTEMD_OFFLINE-}}"')


def program(shell: Shell, name: str, text: str) -> None:
    path = shell.tmp / "root/bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def rebase(shell: Shell) -> Path:
    return shell.tmp / "root/var/lib/skinnybox/rebase"


def result(shell: Shell, kind: str) -> Path:
    return shell.tmp / f"root/var/lib/skinnybox/rebase.{kind}"


def policy(shell: Shell) -> Path:
    return shell.tmp / "root/usr/sbin/policy-rc.d"


def log(shell: Shell) -> str:
    return (shell.tmp / "root/var/log/skinnybox-rebase.log").read_text()


def finish(shell: Shell, script: str = "", *, systemd: bool = True) -> Ended:
    """With the programs of the fake machine in place of all others that it would start."""
    run = f"""PATH={shell.tmp}/root/bin:$PATH CMDLINE={shell.tmp}/proc/cmdline
SYSTEMD={shell.tmp}/{"systemd" if systemd else "none"}
timeout() {{ local program=$2; shift 2; "{shell.tmp}/root/bin/$program" "$@"; }}
"""
    return shell(PARTS, f"{QUIET}{run}{script}\n(finish_rebase)\nexit", stubs=["systemctl"])


def test_tasks_are_done_in_an_order_of_ours_and_once(shell: Shell) -> None:
    rebase(shell).write_text(f"{HEAD}task triggers\ntask configure\ntask ldconfig\nunit a.service\nend\n")
    rebase(shell).with_suffix(".failed").write_text("of before\n")
    done = finish(shell)
    assert done.code == 0, done.out
    said = [line.strip() for line in log(shell).splitlines() if line.startswith("  ")]
    assert said == [
        "ldconfig  offline=1",
        "dpkg --force-confold --configure -a offline=1",
        "dpkg --triggers-only -a offline=1",
    ]
    assert not rebase(shell).exists() and not result(shell, "failed").exists()
    assert result(shell, "done").read_text().startswith(HEAD)
    assert done.calls == ["systemctl daemon-reload", "systemctl --no-block start default.target"]
    told = (shell.tmp / "run/told").read_text()
    assert "told state checking\n" in told and "told reason finishing a rebase: configure\n" in told


def test_a_task_that_fails_ends_it_and_the_machine_says_why(shell: Shell) -> None:
    program(shell, "dpkg", "echo 'Errors were encountered while processing:'; echo ' demo'; echo; exit 1")
    rebase(shell).write_text(f"{HEAD}task configure\ntask triggers\nunit a.service\nend\n")
    done = finish(shell)
    assert done.code == 1
    why = "configure: it ended with 1: Errors were encountered while processing: demo"
    assert result(shell, "failed").read_text() == f"{HEAD}failed {why}\nunit a.service\nend\n"
    assert not rebase(shell).exists() and not result(shell, "done").exists()
    assert "triggers" not in log(shell) and log(shell).endswith(f"failed: {why}\n")


def test_what_is_missing_is_a_note_but_for_dpkg(shell: Shell) -> None:
    script = 'command() { case $2 in locale-gen) return 1 ;; *) echo "$2" ;; esac; }\nwith locale-gen'
    assert shell(PARTS, script).out == "note: this machine has no locale-gen\n"
    (shell.tmp / "root/bin/dpkg").unlink()
    rebase(shell).write_text(f"{HEAD}task configure\nend\n")
    done = finish(
        shell, f'PATH={shell.tmp}/root/bin:/usr/bin:/bin\nlimited() {{ [ "$1" != dpkg ] || return 127; }}'
    )
    assert done.code == 1 and "configure: it ended with 127" in result(shell, "failed").read_text()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is of another kind"),
        ("skinnybox-rebase 2\nid 0af3\nend\n", "is of another kind"),
        (HEAD, "is not whole"),
        (f"{HEAD}task configure\n", "is not whole"),
        ("skinnybox-rebase 1\ntask configure\nend\n", "names no id"),
        ("skinnybox-rebase 1\nid\nend\n", "has a line"),
        ("skinnybox-rebase 1\nid x\nend\n", "has a line"),
        (f"skinnybox-rebase 1\nid {'a' * 65}\nend\n", "has a line"),
        (f"{HEAD}id 12\nend\n", "has a line"),
        (f"{HEAD}task reboot\nend\n", "has a line"),
        (f"{HEAD}task\nend\n", "has a line"),
        (f"{HEAD}task configure triggers\nend\n", "has a line"),
        (f"{HEAD}task $(touch $RUN/owned)\nend\n", "has a line"),
        (f"{HEAD}task *\nend\n", "has a line"),
        (f"{HEAD}task configure; touch /x\nend\n", "has a line"),
        (f"{HEAD}run /bin/sh\nend\n", "has a line"),
        (f"{HEAD}\nend\n", "has a line"),
        (f"{HEAD}{'unit a.service' * 6000}\nend\n", "cannot be read"),
        (HEAD + "\x00task\x1b[2J\n" + "end\n", "has a line"),
    ],
)
def test_what_is_not_understood_runs_nothing(shell: Shell, text: str, why: str) -> None:
    rebase(shell).write_text(text)
    done = finish(shell)
    assert done.code == 1 and done.calls == []
    assert f"failed /var/lib/skinnybox/rebase: {why}" in result(shell, "failed").read_text()
    assert not rebase(shell).exists() and "task " not in log(shell)
    assert not (shell.tmp / "run/owned").exists()


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_what_is_no_file_is_not_followed(shell: Shell, kind: str) -> None:
    other = shell.tmp / "other"
    other.write_text(f"{HEAD}task configure\nend\n")
    if kind == "link":
        rebase(shell).symlink_to(other)
    else:
        rebase(shell).mkdir()
    assert finish(shell).code == 1
    assert "cannot be read" in result(shell, "failed").read_text() and "task " not in log(shell)


def test_a_log_that_leads_elsewhere_is_put_aside_and_it_is_bounded(shell: Shell) -> None:
    (shell.tmp / "root/var/log/skinnybox-rebase.log").symlink_to(shell.tmp / "elsewhere")
    program(shell, "dpkg", "yes 0123456789012345678901234567890123456789 | head -n 300; echo the end; exit 3")
    rebase(shell).write_text(f"{HEAD}task configure\nend\n")
    assert finish(shell, "LOG_MOST=2000").code == 1
    assert not (shell.tmp / "elsewhere").exists()
    assert len(log(shell)) <= 2000
    assert (
        "it ended with 3: 0123456789012345678901234567890123456789 the end"
        in result(shell, "failed").read_text()
    )


def test_a_log_of_a_start_that_was_cut_short_goes_on_while_it_has_room(shell: Shell) -> None:
    path = shell.tmp / "root/var/log/skinnybox-rebase.log"
    path.write_text("of before\n")
    rebase(shell).write_text(f"{HEAD}end\n")
    assert finish(shell).code == 0 and log(shell).startswith("of before\n")
    path.write_text("x" * 1500)
    rebase(shell).write_text(f"{HEAD}end\n")
    assert finish(shell, "LOG_MOST=2000").code == 0 and "x" not in log(shell).replace("skinnybox", "")


def test_a_daemon_that_a_script_leaves_behind_keeps_nobody(shell: Shell) -> None:
    program(shell, "dpkg", "sleep 60 &\necho $! >$RUN/daemon; echo 'no newline'")
    rebase(shell).write_text(f"{HEAD}task configure\nend\n")
    done = finish(shell)
    shell(PARTS, 'kill "$(cat "$RUN/daemon")"')
    assert done.code == 0 and "no newline" in log(shell)


def test_no_service_is_started_meanwhile_where_there_is_no_systemd(shell: Shell) -> None:
    program(shell, "dpkg", f"cat {policy(shell)}; stat -c %a {policy(shell)}")
    rebase(shell).write_text(f"{HEAD}task configure\nend\n")
    done = finish(shell, systemd=False)
    assert done.code == 0 and done.calls == []
    assert "  exit 101\n  755\n" in log(shell)
    assert not policy(shell).exists() and not (shell.tmp / "run/policy-rc.d").exists()


def test_a_policy_that_is_there_stays_and_ours_is_over_it(shell: Shell) -> None:
    policy(shell).write_text("#!/bin/sh\nexit 0\n")
    rebase(shell).write_text(f"{HEAD}task configure\nend\n")
    assert finish(shell, systemd=False).code == 0
    assert policy(shell).read_text() == "#!/bin/sh\nexit 0\n"
    mounted = (shell.tmp / "run/mounted").read_text().splitlines()
    assert mounted == [
        f"mount -o bind {shell.tmp}/run/policy-rc.d {policy(shell)}",
        f"umount {policy(shell)}",
    ]


def test_under_systemd_no_policy_is_ever_put(shell: Shell) -> None:
    program(shell, "dpkg", f"ls {policy(shell)} 2>/dev/null || echo none")
    rebase(shell).write_text(f"{HEAD}task configure\nend\n")
    assert finish(shell).code == 0 and "  none\n" in log(shell)


@pytest.mark.parametrize("at", ["task", "sync"])
def test_killed_at_any_moment_it_is_done_again_and_no_policy_stays(shell: Shell, at: str) -> None:
    """A kill leaves the tasks; the next start does them again, and what was put for the time being goes."""
    rebase(shell).write_text(f"{HEAD}task configure\nend\n")
    die = "sh -c 'kill -KILL $PPID'"
    script = f"do_task() {{ echo half; touch $RUN/now; }}\nsay() {{ [ ! -e $RUN/now ] || {die}; }}"
    killed = finish(shell, f"sync() {{ {die}; }}" if at == "sync" else script, systemd=False)
    assert killed.code != 0 and rebase(shell).exists() and not result(shell, "done").exists()
    (shell.tmp / "run/policy-rc.d").unlink(missing_ok=True)  # memory: a new start has it empty
    program(shell, "dpkg", "echo again")
    assert finish(shell, systemd=False).code == 0
    assert result(shell, "done").exists() and not policy(shell).exists()


def test_who_wanted_to_come_up_to_less_gets_no_more(shell: Shell) -> None:
    for words, calls in (("ro quiet", 2), ("ro systemd.unit=rescue.target", 1), ("single", 1)):
        shell.cmdline(words)
        rebase(shell).write_text(f"{HEAD}task configure\nend\n")
        assert len(finish(shell).calls) == calls
    rebase(shell).write_text(f"{HEAD}task ldconfig\nend\n")
    assert finish(shell).calls == []


def test_the_marks_of_systemd_go_and_alternatives_are_as_their_records_say(shell: Shell) -> None:
    for mark in ("etc/.updated", "var/.updated"):
        (shell.tmp / "root" / mark).write_text("of the master\n")
    program(
        shell,
        "update-alternatives",
        'case $1 in --get-selections) echo "awk auto /usr/bin/mawk" ;; *) cat ;; esac',
    )
    rebase(shell).write_text(f"{HEAD}task alternatives\ntask updated\nend\n")
    assert finish(shell).code == 0
    assert [mark.read_text() for mark in (shell.tmp / "root").glob("*/.updated")] == ["", ""]
    assert "  awk auto /usr/bin/mawk\n" in log(shell) and "  systemd-sysusers  offline=1\n" in log(shell)


def test_every_word_is_done_and_no_other(shell: Shell) -> None:
    text = (GUEST / "lib/tasks.sh").read_text()
    known = re.search(r"^TASKS_KNOWN='(.*)'$", text, re.MULTILINE)
    assert known is not None
    cases = re.findall(r"^    ([a-z]+)\) ", text, re.MULTILINE)
    assert sorted(known[1].split()) == sorted(cases)
    assert shell(PARTS, "do_task reboot").code == 2


def test_before_an_init_without_units_it_runs_in_its_place(shell: Shell) -> None:
    script = 'BEFORE=\'\'\nfinish_before_init "$ROOT"\necho "<$BEFORE>"'
    assert shell("boot", script).out == "<>\n"
    rebase(shell).touch()
    assert shell("boot", script).out == "<>\n"  # systemd has a unit for it
    inits = shell.tmp / "root/usr/lib/skinnybox"
    inits.mkdir(parents=True)
    (inits / "before-init").touch(0o755)
    (inits / "before-init").chmod(0o755)
    assert shell("boot", script).out == "</usr/lib/skinnybox/before-init>\n"


def test_marks_that_systemd_makes_itself_are_left_to_it(shell: Shell) -> None:
    for path in ("etc/.updated", "var/.updated", "lib/systemd/systemd-update-done"):
        (shell.tmp / "root" / path).parent.mkdir(parents=True, exist_ok=True)
        (shell.tmp / "root" / path).touch()
    assert shell(PARTS, "systemd_updates", stubs=["with"]).code == 0
    assert not list((shell.tmp / "root").glob("*/.updated"))
