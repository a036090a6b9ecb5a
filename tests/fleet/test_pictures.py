"""What is drawn on a terminal, of what, and that pipes and programs never get it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skinnybox.cli import grouped, pictures, terminal, tree
from skinnybox.fleet.names import expand
from skinnybox.fleet.service import Fleet
from tests.fleet import on_a_terminal
from tests.fleet.conftest import SPARSE, said
from tests.fleet.test_disks import image, write

GIB = 1 << 30
DISK = {
    "disk": 100,
    "free": 40,
    "masters": 10,
    "layers": 3,
    "written": 5,
    "snapshots": 2,
    "allocated": 5,
    "owed": 25,
}


@pytest.fixture(autouse=True)
def _place(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")
    monkeypatch.setattr(terminal, "knows_unicode", lambda: False)


def sizes(account: dict[str, Any]) -> dict[str, int]:
    return {part.what: part.size for part in pictures.shares(account)}


def test_no_byte_of_the_disk_is_in_two_parts() -> None:
    # All that overlays have was written; 25 more are promised and lie in what is free.
    assert sizes(DISK) == {
        "masters": 10, "layers": 3, "written": 5, "snapshots": 2, "promised": 25, "others": 40, "free": 15,
    }  # fmt: skip
    # The disk has set aside 20, of which 5 were written; 10 more are owed.
    aside = sizes({**DISK, "allocated": 20, "owed": 10})
    assert aside == {
        "masters": 10, "layers": 3, "written": 5, "snapshots": 2, "promised": 25, "others": 25, "free": 30,
    }  # fmt: skip
    # More is owed than there is.
    over = sizes({**DISK, "allocated": 5, "owed": 400})
    assert (over["promised"], over["free"]) == (40, 0)
    assert all(sum(each.values()) == 100 for each in (sizes(DISK), aside, over))


def test_a_bar_shows_every_part_that_there_is() -> None:
    parts = pictures.shares({**DISK, "masters": 1, "free": 0, "disk": 10_000})
    line, *below = pictures.bar(parts, 80)
    assert len(line) == 72 and line.startswith("[MLWS") and set(line) == set("[]MLWSo")
    assert "M masters 1" in below[0] and "free" not in " ".join(below)
    assert all(len(text) <= 30 for text in pictures.bar(pictures.shares(DISK), 30))
    assert pictures.bar(pictures.shares(DISK), 3) == [] == pictures.bar([], 80)


@given(st.lists(st.integers(1, 10**18), min_size=1, max_size=6), st.integers(8, 300))
def test_bars_have_their_width_whatever_the_sizes(found: list[int], wide: int) -> None:
    parts = [pictures.Share(what=str(n), size=n, drawn="x", ascii="x") for n in found]
    assert len(pictures.bar(parts, wide)[0]) == min(wide, 72)


@pytest.mark.parametrize(
    ("used", "size", "drawn"),
    [(0, 8, "[--------]"), (1, 1000, "[#-------]"), (4, 8, "[####----]"), (999, 1000, "[#######-]"),
     (8, 8, "[########]"), (9, 8, "[########]"), (5, 0, "[--------]"), (-1, 8, "[--------]")],
)  # fmt: skip
def test_something_is_never_nothing_nor_full(used: int, size: int, drawn: str) -> None:
    assert pictures.fill(used, size) == drawn


def test_finer_where_the_terminal_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "knows_unicode", lambda: True)
    assert [pictures.fill(n, 64) for n in (0, 1, 12, 64)] == [
        "▕        ▏", "▕▏       ▏", "▕█▌      ▏", "▕████████▏",
    ]  # fmt: skip


def change(path: str, size: int = 0, kind: str = "added") -> dict[str, Any]:
    return {"path": path, "size": size, "change": kind}


def test_a_tree_has_totals_and_folds() -> None:
    found = [
        change("/etc/hostname", 10, "modified"), change("/etc/apache2/a.conf", 2048, "modified"),
        change("/srv"), change("/srv/www"), change("/srv/www/public"),
        *(change(f"/srv/www/public/{n:02}", 1024 * n) for n in range(1, 21)), change("/tmp/x", 0, "deleted"),
    ]  # fmt: skip
    assert list(tree.lines(found, 2)) == [
        "/  212.0K, 23 added, 1 deleted, 2 modified",
        "|-- srv/www/public/  210.0K, 23 added",
        *(f"|   |-- {n}  {n}.0K, 1 added" for n in range(20, 11, -1)),
        "|   `-- and 11 more  66.0K, 11 added",
        "|-- etc/  2.0K, 2 modified",
        "|   |-- apache2/a.conf  2.0K, 1 modified",
        "|   `-- hostname  10, 1 modified",
        "`-- tmp/x  1 deleted",
    ]
    assert list(tree.lines(found, 1))[1:] == [
        "|-- srv/www/public/  210.0K, 23 added", "|-- etc/  2.0K, 2 modified", "`-- tmp/x  1 deleted",
    ]  # fmt: skip
    assert list(tree.lines([], 3)) == []
    assert list(tree.lines([change("/", kind="metadata")], 3)) == ["/  1 metadata"]


def test_a_guest_that_nests_folders_without_end_is_drawn() -> None:
    found = [change("/" + "/".join("d" * 2000) + f"/{n}", 1) for n in range(50)]
    assert next(tree.lines(found, 10**6)) == "/  50, 50 added"


def test_names_become_the_pattern_that_means_them() -> None:
    names = [*(f"web-{n:02}" for n in range(1, 41)), "db", "x-1", "x-2", *(f"n{n}a" for n in range(8, 13))]
    found = grouped.ranges(names)
    assert found == ["web-{01..40}", "db", "x-1", "x-2", "n{8..12}a"]
    assert expand(found) == names
    assert grouped.ranges(["a-1", "a-2", "a-4", "a-05", "a-06", "b-07"]) == [
        "a-1", "a-2", "a-4", "a-05", "a-06", "b-07",
    ]  # fmt: skip


@given(st.lists(st.from_regex(r"[ab](-?[0-9]{1,2})?c?", fullmatch=True), unique=True))
def test_no_name_is_lost(names: list[str]) -> None:
    assert expand(grouped.ranges(names)) == names


def told(*actions: tuple[str, str, str]) -> list[str]:
    records = [dict(zip(("action", "name", "detail"), action, strict=True)) for action in actions]
    return list(grouped.lines(records, 200))


def test_what_counts_up_parts_no_machines() -> None:
    made = [("create", f"w-{n}", f"m:1, 10.7.0.{n}/24, 127.0.0.1:{8000 + n}:80") for n in (9, 10, 11)]
    assert told(*made) == [
        "create  3  w-{9..11}", "    m:1, 10.7.0.9/24 to 10.7.0.11/24, 127.0.0.1:8009:80 to 127.0.0.1:8011:80"
    ]  # fmt: skip
    others = [
        ("create", name, f"{ip}/24, gateway 10.7.0.1") for name, ip in (("a", "10.7.0.9"), ("b", "10.7.0.3"))
    ]
    assert told(*others) == ["create  2  a, b", "    10.7.0.9/24 10.7.0.3/24, gateway 10.7.0.1"]
    paths = [
        ("set", name, f"file {path} 0644")
        for name, path in (("a", "/e/10.7.0.1/24"), ("b", "10.7.0.999/24/x"))
    ]
    assert len(told(*paths)) == 4 and told(("set", "a", "10.700.0.01/99"))[1] == "    10.700.0.01/99"
    # Another prefix, version or gateway is another thing to be told.
    for one, other in (("m:1.2.3.4", "m:1.2.3.5"), ("to 10.7.0.1", "to 10.7.0.2"), ("1.0G", "2.0G")):
        assert len(told(("set", "a", one), ("set", "b", other))) == 4


def test_a_hint_that_names_the_machine_names_all_of_them() -> None:
    hint = "key of {}: needs it stopped; skinnybox stop {}, then apply again"
    blocked = [("blocked", name, hint.format("x", name)) for name in ("web-1", "web-2", "web-3", "db")]
    assert told(*blocked) == ["blocked  4  web-{1..3}, db", f"    {hint.format('x', 'web-{1..3} db')}"]
    assert len(told(("set", "a", "skinnybox stop a-1"), ("set", "b", "skinnybox stop b-1"))) == 4


FILE = """
version: 1
fleet: f
defaults: {master: tiny, overlay: 64M, sparse: true}
machines:
  web-{01..40}: {}
  db: {overlay: 32M}
"""


@pytest.fixture
def machines(fleet: Fleet, state: Path) -> Fleet:
    fleet.create(["a", "db"], "tiny", replace(SPARSE))
    fleet.start(["a"])
    write(image(state, fleet.machine("db").instance), "file")
    return fleet


ASCII = {"LC_ALL": "C"}
PICTURES = "▕▏█▒░└├[#"


def test_what_is_seen_on_a_terminal(machines: Fleet, state: Path, tmp_path: Path) -> None:
    def see(*words: str, code: int = 0, plain: bool = False) -> str:
        environment = ASCII if plain else on_a_terminal.UTF8
        ended, text = on_a_terminal.shown(state, *words, environment=environment)
        assert ended == code and text.isascii() is plain and max(map(len, text.splitlines())) <= 80
        return text

    few = ("list", "a", "--columns", "name,overlay")
    assert "▕        ▏ 0/64.0M" in see(*few) and "[--------] 0/64.0M" in see(*few, plain=True)
    for columns in (60, 72, 78, 80, 84, 90, 110):  # the picture gives way first
        cut, drawn = (sign in on_a_terminal.shown(state, "list", columns=columns)[1] for sign in "…▕")
        assert not (cut and drawn)
    capacity = see("capacity")
    assert capacity.startswith("▕") and "▒ promised" in capacity.splitlines()[1]
    assert see("capacity", plain=True).startswith("[")
    assert "└── " in see("changes", "db", "--tree") and "`-- " in see("changes", "db", "--tree", plain=True)
    (tmp_path / "fleet.yaml").write_text(FILE)
    plan = on_a_terminal.shown(state, "plan", str(tmp_path / "fleet.yaml"))
    assert plan[0] == 5
    lines = plan[1].splitlines()
    assert any(line.startswith("create") and " 40  web-{01..40}" in line for line in lines)
    assert max(map(len, lines)) <= 80 and "…" not in plan[1]


def test_nothing_of_it_in_pipes_and_for_programs(
    machines: Fleet, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(FILE)
    for words in (("list",), ("capacity",), ("plan", str(file)), ("changes", "db")):
        piped = said(capsys, *words).out
        assert piped and not set(PICTURES) & set(piped)
        for form in ("json", "yaml", "csv"):
            _, seen = on_a_terminal.shown(state, "-q", *words, "--format", form)
            assert not set("▕▏█▒░└├#") & set(seen)
            if form == "json" and words != ("plan", str(file)):
                json.loads(seen)
    assert len(said(capsys, "plan", str(file)).out.splitlines()) > 40
    assert said(capsys, "changes", "db", "--tree", "--format", "json").code == 2
