"""readiness.sh: what keeps a machine that is up from being ready, and how that is told."""

import pytest

from skinnybox.wire import decode
from tests.guest.conftest import Shell
from tests.guest.test_status import PARTS, machine

__all__ = ["machine"]
WAITS = 'sleep() { :; }\ntold() { echo "$STANDING: $STANDING_WHY"; }\nawait_check told\n'
TRIES = """echo x >>"$RUN/tries"
n=$(wc -l <"$RUN/tries")
echo "try $n"
test "$n" -ge 3
"""


def check(shell: Shell, text: str) -> None:
    path = shell.tmp / "root/var/lib/skinnybox/check"
    path.write_text(text)


def put(shell: Shell, name: str, text: str) -> None:
    (shell.tmp / "root/var/lib/skinnybox" / name).write_text(text)


def test_a_check_is_tried_until_it_succeeds(shell: Shell) -> None:
    check(shell, TRIES)
    script = WAITS + 'echo "$STANDING <$STANDING_WHY>"'
    assert shell(PARTS, script).out.splitlines() == [
        "checking: check fails: try 1", "checking: check fails: try 2", "ready <>"
    ]  # fmt: skip


def test_without_a_check_nothing_is_waited_for(shell: Shell) -> None:
    assert shell(PARTS, WAITS + 'echo "$STANDING"').out == "ready\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("echo one; echo; echo 'two  '; echo; false", "two  "),
        ("exit 9", "it ended with 9"),
        ("printf 'a\\033[2J\\0b' >&2; exit 1", "a[2Jb"),
        ("yes | head -c 100000; exit 1", "y"),
        (f"echo {'x' * 900}; exit 1", "x" * 200),
        ("nonsense-without-a-name", "not found"),
        ("sleep 20", "it took longer than 1 s"),
        ("echo so far; sleep 20", "it took longer than 1 s: so far"),
    ],
)
def test_why_it_fails_is_the_last_line_of_what_it_said(shell: Shell, text: str, why: str) -> None:
    check(shell, text)
    done = shell(PARTS, 'CHECK_SECONDS=1\ncheck_once || printf "%s" "$CHECK_WHY"')
    if shell.argv[0] == "busybox":
        why = why.removesuffix(": so far")  # its timeout ends the first program alone
    assert done.out.startswith("check fails: ") and done.out.removesuffix("\n").endswith(why)
    assert done.out.isprintable() and len(done.out) < 250


def test_what_a_check_leaves_running_keeps_nobody_for_ever(shell: Shell) -> None:
    check(shell, "sleep 60 &\necho $! >$RUN/daemon\n")
    assert shell(PARTS, "CHECK_SECONDS=1\ncheck_once && echo well").out == "well\n"
    shell(PARTS, 'kill "$(cat "$RUN/daemon")"')


def test_it_runs_where_root_would_run_it(shell: Shell) -> None:
    check(shell, "echo $HOME $PATH $(pwd) $(cat); false")
    why = shell(PARTS, 'PATH=/usr/bin:/bin\ncheck_once || echo "$CHECK_WHY"').out
    assert why == f"check fails: /root /usr/local/sbin:/usr/local/bin:/usr/bin:/bin {shell.tmp}/root\n"


def test_a_report_says_that_it_is_not_ready_and_why(shell: Shell) -> None:
    script = "STANDING=checking STANDING_WHY='check fails: x y'\nready_report '' 1000000 500000"
    message = decode(shell(PARTS, script).out.encode(), "report")
    assert (message.get("state"), message.get("reason")) == ("checking", "check fails: x y")
    message = decode(shell(PARTS, "ready_report '' 1000000 500000").out.encode(), "report")
    assert (message.get("state"), message.get("reason"), message.get("rebase")) == ("ready", None, None)


def test_a_rebase_that_was_not_finished_keeps_it_from_being_ready(shell: Shell) -> None:
    put(shell, "rebase.failed", "skinnybox-rebase 1\nid 0af3\nfailed configure: it ended with 1\nend\n")
    check(shell, "exit 0")
    script = f"stand\n{WAITS}ready_report '' 1000000 500000"
    message = decode(shell(PARTS, script).out.encode(), "report")
    assert message.get("state") == "failed"
    assert message.get("reason") == "the rebase was not finished: configure: it ended with 1"
    assert message.get("rebase") == "0af3 failed configure: it ended with 1"


def test_tasks_that_nobody_has_done_keep_it_from_being_ready(shell: Shell) -> None:
    put(shell, "rebase", "skinnybox-rebase 1\nid 0af3\nend\n")
    put(shell, "rebase.done", "skinnybox-rebase 1\nid 12\nend\n")
    assert shell(PARTS, 'stand\necho "$STANDING: $STANDING_WHY"').out == (
        "failed: the rebase was not finished: its tasks were not done\n"
    )


def test_a_rebase_that_was_finished_is_told(shell: Shell) -> None:
    put(shell, "rebase.done", "skinnybox-rebase 1\nid 0af3\ntask configure\nunit a.service\nend\n")
    script = "stand\nready_report '' 1000000 500000 '' '' 0 0 'a.service'"
    message = decode(shell(PARTS, script).out.encode(), "report")
    assert (message.get("state"), message.get("rebase")) == ("ready", "0af3 done")
    assert [line.value for line in message.all("inactive-unit")] == ["a.service"]


def test_what_stands_in_a_result_is_no_line_of_its_own(shell: Shell) -> None:
    put(shell, "rebase.done", "x\nid\nid 0af3 done\\n\nunit a\n")
    assert "\nend\n" in shell(PARTS, "stand\nready_report '' 1000000 500000").out
