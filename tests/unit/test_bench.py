"""What a bench may say of a limit: never "kept" of an interval that contains it. And that no command which
reads is left out of the one about their cost."""

import argparse
from collections.abc import Iterator

import pytest

from bench import reading, virt_diff
from bench.measure import Ratio, Verdict, judged, ratio, verdict
from skinnybox.cli.parser import build_parser

NOT_READING = {
    ("apply",), ("autostart", "off"), ("autostart", "on"), ("cp",), ("delete",), ("exec",), ("flatten",),
    ("grow",), ("jobs", "cancel"), ("jobs", "follow"), ("jobs", "show"), ("kill",), ("layer", "build"),
    ("layer", "import"), ("layer", "remove"), ("layer", "show"), ("layer", "verify"), ("master", "build"),
    ("master", "disk"), ("master", "edit"), ("master", "import"), ("master", "remove"), ("promote",),
    ("rebase",), ("reset",),
    ("restart",), ("rollback",), ("seed-disk",), ("serve",), ("set",), ("slim",), ("copy",), ("rename",),
    ("move",), ("receive",), ("export",), ("snapshot", "create"), ("snapshot", "delete"),
    ("snapshot", "restore"), ("ssh",), ("start",), ("stop",), ("token", "create"), ("token", "revoke"),
    ("archive", "show"),
}  # fmt: skip
"""What changes something, hands over to another program, goes on for ever, or tells of one job or file."""


def of(low: float, high: float, pairs: int = 9) -> Ratio:
    return Ratio(median=(low + high) / 2, low=low, high=high, pairs=pairs)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (of(0.9, 0.99), Verdict.PROVEN),
        (of(0.9, 1.0), Verdict.PROVEN),
        (of(0.9, 1.01), Verdict.OPEN),
        (of(1.0, 1.2), Verdict.OPEN),
        (of(1.01, 1.2), Verdict.BROKEN),
        (of(0.5, 0.5, pairs=4), Verdict.OPEN),
        (of(0.5, 0.5, pairs=5), Verdict.PROVEN),
        (of(1.5, 1.5, pairs=1), Verdict.BROKEN),
    ],
)
def test_a_limit_is_proven_open_or_broken(found: Ratio, said: Verdict) -> None:
    assert judged(found, 1.0) is said


def test_the_worst_of_several_ends_the_bench() -> None:
    assert max(Verdict.PROVEN, Verdict.OPEN) is Verdict.OPEN
    assert max(Verdict.OPEN, Verdict.BROKEN) is Verdict.BROKEN
    assert [said.code for said in Verdict] == [0, 78, 1]


def test_the_interval_is_that_of_the_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    found = ratio([9.0, 10.0, 11.0, 10.0, 30.0], [10.0] * 5)
    assert (found.median, found.low, found.high, found.pairs) == (1.0, 0.9, 3.0, 5)
    assert verdict("a name", found, 2) is Verdict.OPEN
    assert capsys.readouterr().out.split() == [
        "a", "name", "1.00", "(95", "%:", "0.90", "to", "3.00,", "5", "pairs)", "limit", "2", "open"
    ]  # fmt: skip


def commands(parser: argparse.ArgumentParser, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield before
    for group in groups:
        for name, inner in group.choices.items():
            yield from commands(inner, (*before, name))


def test_every_command_that_reads_is_measured() -> None:
    measured = {
        words for words in commands(build_parser()) if any(c[: len(words)] == words for c in reading.COMMANDS)
    }
    assert set(commands(build_parser())) - measured == NOT_READING


def test_of_what_virt_diff_says_a_device_alone_is_no_difference() -> None:
    said = (
        b"- d 0755       4096 /\n+ d 0755       4096 /\n# changed: st_dev\n"
        b"- - 0644          5 /etc/a\n+ - 0600          7 /etc/a\n# changed: st_dev st_mode st_size\n"
        b"+ d 0755       4096 /srv\n+ - 0644          2 /srv/a b\n"
        b"= - 0644       8762 /usr/text\n@@ -1,4 +1,4 @@\n 50095\n-213422\n@@ End of diff @@\n"
        b"- - 0644          9 /usr/gone\n- - 0644          9 /usr/same\n+ - 0644          9 /usr/same\n"
        b"# changed: st_dev\n"
    )
    assert virt_diff.named(said) == {b"etc/a", b"srv", b"srv/a b", b"usr/text", b"usr/gone"}
