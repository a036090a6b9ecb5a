"""One machine's pages: what it made its own, its settings, its snapshots."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox import run
from skinnybox.fleet import text_diff as diffs
from skinnybox.fleet.present_changes import Sums
from skinnybox.fleet.text_diff import diff_of
from skinnybox.fleet.tokens import Role
from skinnybox.model import Change, ChangeKind, Content, Fact
from skinnybox.printable import raw_path
from skinnybox.web.abouts import abouts
from skinnybox.web.tree import Tree, tree_of
from tests.layered import planted
from tests.web.conftest import SMALL, Console, fields, word
from tests.web.test_machines import ended


@pytest.fixture
def machine(console: Console) -> Console:
    console.fleet.create(["a"], "tiny", SMALL)
    return console


@pytest.fixture
def write(machine: Console, state: Path, tmp_path: Path) -> Callable[[dict[str, bytes]], None]:
    """Put files where the guest would."""
    overlay = next((state / "instances").glob("*/overlay.img"))

    def act(files: dict[str, bytes]) -> None:
        orders: list[str] = []
        for number, (path, content) in enumerate(files.items()):
            parts = path.split("/")
            orders += [f"mkdir /upper/{'/'.join(parts[:depth])}" for depth in range(1, len(parts))]
            (tmp_path / f"file-{number}").write_bytes(content)
            orders.append(f"write {tmp_path}/file-{number} /upper/{path}")
        (tmp_path / "orders").write_text("\n".join(dict.fromkeys(orders)) + "\n")
        run.run(["debugfs", "-w", "-f", tmp_path / "orders", overlay])

    return act


def test_what_it_made_its_own_is_shown_folder_by_folder(
    machine: Console, write: Callable[[dict[str, bytes]], None]
) -> None:
    write({"etc/motd": b"hello\nthere\n", "srv/www/index.html": b"x" * 3000, "srv/<b>.txt": b"y"})
    client = machine.browser(Role.OPERATOR)
    shown = client.get("/machines/a/changes").text
    assert "etc/" in shown and "srv/" in shown and "2.9 KiB" in shown and "modified" in shown
    assert (
        "<dt><b>configuration</b>" in shown and "<dt><b>data</b>" in shown and "<b>services</b>" not in shown
    )
    below = client.get("/machines/a/changes?path=srv", headers={"hx-request": "true"}).text
    assert "www/" in below and "&lt;b&gt;.txt" in below and "<html" not in below and "etc/" not in below
    whole = client.get("/machines/a/changes?path=srv/www").text
    assert "index.html" in whole and "<html" in whole
    assert client.get("/machines/a/changes?path=usr").status_code == 404
    assert "changes/file" not in machine.browser(Role.VIEWER).get("/machines/a/changes?path=srv/www").text


def test_a_file_that_differs_is_shown_line_by_line(
    machine: Console, write: Callable[[dict[str, bytes]], None]
) -> None:
    write({"etc/motd": b"hello\nthere <script>\n", "srv/new": b"one\ntwo\n", "srv/picture": b"\x89PNG\0\0"})
    client = machine.browser(Role.OPERATOR)
    shown = client.get("/machines/a/changes/file?path=etc/motd").text
    assert '<tr class="added">' in shown and "there &lt;script&gt;" in shown and '<tr class="same">' in shown
    new = client.get("/machines/a/changes/file?path=srv/new").text
    assert "Only a has it" in new and new.count('<tr class="added">') == 2
    assert "no text" in client.get("/machines/a/changes/file?path=srv/picture").text
    same = client.get("/machines/a/changes/file?path=etc/os-release").text
    assert "Only tiny:1 has it, or a has it as it was" in same
    for path in ("etc/none", "..", "../../etc/passwd", "/", "%00", "etc", "\\x"):
        assert client.get("/machines/a/changes/file", params={"path": path}).status_code in (404, 200)
    assert "root:" not in client.get("/machines/a/changes/file?path=../../../etc/passwd").text


def test_it_is_read_again_when_that_is_asked_for(
    machine: Console, write: Callable[[dict[str, bytes]], None]
) -> None:
    client = machine.browser(Role.VIEWER)
    assert "Nothing yet" in client.get("/machines/a/changes").text
    write({"srv/new": b"x"})
    assert "Nothing yet" in client.get("/machines/a/changes").text
    assert "srv/" in client.get("/machines/a/changes?again=1").text
    machine.fleet.start(["a"])
    write({"srv/more": b"x"})
    assert "more" in client.get("/machines/a/changes?path=srv").text


def changed(path: bytes, kind: ChangeKind = ChangeKind.ADDED, size: int = 1, letter: str = "-") -> Change:
    return Change(path=path, kind=kind, type=letter, size=size)


def test_folders_sum_what_is_below_them() -> None:
    tree = tree_of(
        [changed(b"etc", letter="d", size=0), changed(b"etc/a", size=5), changed(b"etc/b/c", size=7)]
    )
    place = tree.at("etc")
    assert place and (place.count, place.size) == (3, 12)
    assert [(each.name, each.is_folder) for each in place.entries()] == [("b", True), ("a", False)]
    assert tree.kinds["added"] == 3 and tree.root.size == 12 and not tree.cut


def test_packages_are_said_by_their_names_as_far_as_there_is_room() -> None:
    facts = [Fact(what="package", change="added", name=f"p{number:03}", after="1") for number in range(90)]
    facts.append(Fact(what="unit", change="changed", name="a\x1b[2J.service", before="x", after="y"))
    packages, services = abouts(facts, Sums())
    assert packages.title == "packages" and packages.told[0].startswith("90 installed: p000, p001, ")
    assert packages.told[0].endswith(" and 30 more")
    assert services.told == ("1 enabled otherwise: a\\x1b[2J.service x -> y",)


def test_a_tree_without_an_end_is_cut() -> None:
    tree = tree_of((changed(b"srv/%d" % number) for number in range(1000)), most=700)
    srv = tree.at("srv")
    assert tree.cut and srv and len(srv.entries()) == 500 and srv.hidden == 200


@pytest.mark.parametrize("raw", [b"a\\b", b"\xff\xfe", b"a\nb", "ä\u202e".encode(), b"a b%2f"])
def test_paths_of_any_bytes_are_found_again(raw: bytes) -> None:
    tree: Tree = tree_of([changed(b"srv/" + raw)])
    srv = tree.at("srv")
    assert srv
    [place] = srv.entries()
    assert place.name.isprintable() and raw_path(place.path) == b"srv/" + raw


def text(data: bytes, size: int | None = None) -> Content:
    return Content(type="-", size=len(data) if size is None else size, data=data)


def test_lines_that_differ_have_some_around_them() -> None:
    before = text(b"".join(b"%d\n" % number for number in range(50)))
    after = text(before.data.replace(b"\n25\n", b"\n25!\n"))
    found = diff_of(before, after)
    assert (found.added, found.removed, len(found.lines)) == (1, 1, 9)
    assert [line.tone for line in found.lines] == ["gap", *["same"] * 3, "removed", "added", *["same"] * 3]


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (text(b"a\0b"), text(b"a"), "no text"),
        (text(b"a"), text(b"\xff"), "no text"),
        (text(b"a"), text(b"b", size=10), "larger"),
        (None, Content(type="d", size=0), "no file"),
        (text(b"a\n" * 3000), text(b"b\n" * 3000), "lines"),
    ],
)
def test_what_cannot_be_compared_is_told(before: Content | None, after: Content | None, why: str) -> None:
    found = diff_of(before, after)
    assert found.lines == () and found.why and why in found.why


def test_what_would_change_the_look_of_a_line_is_escaped() -> None:
    [line] = diff_of(None, text("a\u202eb\x1b[31m\n".encode())).lines
    assert line.text == "a\\u202eb\\x1b[31m"
    assert len(diff_of(None, text(b"x" * 9999)).lines[0].text) == diffs._LONGEST_LINE


def test_two_people_who_change_it_lose_nothing(machine: Console) -> None:
    anna, bert = machine.browser(Role.OPERATOR), machine.browser(Role.OPERATOR)
    hers, his = (fields(each.get("/machines/a/settings").text) for each in (anna, bert))
    sent = {"labels": "role=web", "autostart": "1"}
    said = {key: hers[key] for key in ("csrf", "revision", "cpus")}
    assert "Changed" in anna.post("/machines/a/settings", data={**said, **sent, "memory": "1G"}).text
    late = bert.post(
        "/machines/a/settings",
        data={"csrf": his["csrf"], "revision": his["revision"], "cpus": "4", "memory": "256M", "labels": ""},
    )
    assert late.status_code in (409, 412) and "was changed since you looked" in late.text
    assert "It is <code>1G</code> now." in late.text and 'value="4"' in late.text
    now = machine.fleet.machine("a").instance
    assert (now.memory, now.cpus, now.labels, now.autostart) == (1 << 30, 1, (("role", "web"),), True)
    again = fields(late.text)
    done = bert.post(
        "/machines/a/settings",
        data={
            "csrf": again["csrf"],
            "revision": again["revision"],
            "cpus": "4",
            "memory": "1G",
            "labels": "",
        },
    )
    assert done.status_code == 200 and machine.fleet.machine("a").instance.cpus == 4
    assert machine.fleet.jobs.all()[-1].actor == "a operator"


@pytest.mark.parametrize(
    ("field", "value"),
    [("memory", "much"), ("memory", "1K"), ("cpus", "0"), ("cpus", "x"), ("labels", "a b")],
)
def test_what_is_no_setting_is_told_and_kept_in_the_form(machine: Console, field: str, value: str) -> None:
    client = machine.browser(Role.OPERATOR)
    form = fields(client.get("/machines/a/settings").text)
    sent = {key: form[key] for key in ("csrf", "revision", "memory", "cpus")} | {field: value}
    answer = client.post("/machines/a/settings", data=sent)
    assert 400 <= answer.status_code < 500 and 'role="alert"' in answer.text and value in answer.text
    assert machine.fleet.machine("a").instance.memory == SMALL.memory


def test_it_is_shown_where_its_master_is_gone(machine: Console, state: Path) -> None:
    shutil.rmtree(state / "masters")
    client = machine.browser(Role.VIEWER)
    for path in ("/machines/a", "/machines", "/"):
        assert client.get(path).status_code == 200
    assert "not among the masters" in client.get("/machines/a").text
    assert client.get("/machines/a/changes").status_code == 404


def test_its_history_tells_what_became_of_it_and_not_of_others(machine: Console) -> None:
    machine.fleet.create(["b"], "tiny", SMALL)
    machine.fleet.start(["a"])
    machine.fleet.overlays.reset(["a", "b"])
    client = machine.browser(Role.VIEWER)
    told = {name: client.get(f"/machines/{name}/history").text for name in ("a", "b")}
    assert "reset</b></a> failed" in told["a"] and "needs it stopped" in told["a"]
    assert "reset</b></a> done" in told["b"] and "needs it stopped" not in told["b"]
    assert "<b>ready</b>" in told["a"] and "<b>ready</b>" not in told["b"]


def test_snapshots_are_kept_put_back_and_deleted(machine: Console) -> None:
    client = machine.browser(Role.OPERATOR)
    said = {"csrf": word(client), "label": "before"}
    answer = client.post("/machines/a/snapshots", data=said, follow_redirects=False)
    ended(machine, answer.headers["location"])
    assert "before" in client.get("/machines/a/snapshots").text
    for deed in ("restore", "delete"):
        asked = client.post("/machines/a/snapshots/do", data={**said, "do": deed})
        assert asked.status_code == 200 and "Type the machine" in asked.text
        wrong = client.post("/machines/a/snapshots/do", data={**said, "do": deed, "typed": "b"})
        assert wrong.status_code == 400
        sure = {**said, "do": deed, "typed": "a"}
        answer = client.post("/machines/a/snapshots/do", data=sure, follow_redirects=False)
        assert str(ended(machine, answer.headers["location"])) == "done"
    assert machine.fleet.overlays.snapshots(["a"]) == []


def test_its_layers_lie_between_its_overlay_and_its_master(console: Console, tmp_path: Path) -> None:
    for name in ("low", "top"):
        console.fleet.layers.import_tree(
            planted(tmp_path / name, {f"srv/{name}": name}), f"{name}:1", above="tiny"
        )
    console.fleet.create(["a"], "tiny", replace(SMALL, layers=("low", "top")))
    shown = console.browser(Role.VIEWER).get("/machines/a").text
    slabs = shown.split('<div class="stack">')[1].split("</section>")[0]
    places = [slabs.index(word) for word in ("overlay", "top:1", "low:1", "tiny:1")]
    assert places == sorted(places)
