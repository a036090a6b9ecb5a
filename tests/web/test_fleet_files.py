"""Fleet files from a browser: planned, applied when what they lose was agreed to, never read from here."""

from dataclasses import replace
from pathlib import Path

import pytest

from skinnybox.fleet.jobs import Condition
from skinnybox.fleet.tokens import Role
from tests.web.conftest import SMALL, Console, fields, word
from tests.web.test_work_pages import HOSTILE, ended, of, post

FILE = """\
version: 1
fleet: shop
defaults: {master: tiny, memory: 256M, overlay: 64M, sparse: true}
machines:
  shop-{1..2}: {state: running}
"""
FEWER = FILE.replace("{1..2}", "1")


def test_a_plan_changes_nothing_and_applying_it_does(console: Console) -> None:
    client = console.browser(Role.OPERATOR)
    status, page = post(client, "/files", content=FILE, do="plan")
    assert status == 200 and "2 to create, 2 to start" in page and FILE.splitlines()[1] in page
    assert console.fleet.names() == []
    status, there = post(client, "/files", content=FILE.replace("\n", "\r\n"), do="apply")
    assert status == 303
    job = ended(console, of(there))
    assert (job.condition, job.actor, job.subjects) == (Condition.DONE, "a operator", ("shop-1", "shop-2"))
    assert {machine.told for machine in console.fleet.machines()} == {"ready"}
    assert "Everything is as the file says" in post(client, "/files", content=FILE, do="plan")[1]


def test_a_file_that_is_sent_wins_over_the_field(console: Console) -> None:
    client = console.browser(Role.OPERATOR)
    sent = {"file": ("fleet.yaml", FILE.encode(), "text/yaml")}
    said = {"csrf": word(client), "content": "nonsense", "do": "plan"}
    assert "2 to create" in client.post("/files", data=said, files=sent).text
    binary = {"file": ("fleet.yaml", b"\xff\xfe", "text/yaml")}
    answer = client.post("/files", data=said, files=binary)
    assert answer.status_code == 422 and "no text" in answer.text


@pytest.mark.parametrize(
    ("content", "said"),
    [(FEWER, {"prune": "1"}), (FILE, {"recreate": "shop-2"}), (FILE, {"reset": "shop-*"})],
)
def test_what_loses_data_is_asked_for_again(console: Console, content: str, said: dict[str, str]) -> None:
    console.fleet.create(["shop-1", "shop-2"], "tiny", replace(SMALL, fleet="shop"))
    before = {machine.instance.uuid: machine.instance.seed.generation for machine in console.fleet.machines()}
    client = console.browser(Role.OPERATOR)
    status, page = post(client, "/files", content=content, do="apply", **said)
    assert status == 200 and "This loses data" in page
    now = {machine.instance.uuid: machine.instance.seed.generation for machine in console.fleet.machines()}
    assert now == before
    agreed = fields(page)["agreed"]
    other = post(client, "/files", content=content, do="apply", agreed="0" * 64, **said)
    assert other[0] == 200
    status, there = post(client, "/files", content=content, do="apply", agreed=agreed, **said)
    assert status == 303 and ended(console, of(there)).condition is Condition.DONE
    now = {machine.instance.uuid: machine.instance.seed.generation for machine in console.fleet.machines()}
    assert now != before


def test_agreeing_to_one_loss_is_agreeing_to_no_other(console: Console) -> None:
    console.fleet.create(["shop-{1..3}"], "tiny", replace(SMALL, fleet="shop"))
    client = console.browser(Role.OPERATOR)
    three = FILE.replace("{1..2}", "{1..3}")
    agreed = fields(post(client, "/files", content=three, do="apply", recreate="shop-2")[1])["agreed"]
    status, page = post(client, "/files", content=three, do="apply", recreate="shop-*", agreed=agreed)
    assert status == 200 and "3 machines would be deleted" in page


def test_no_file_of_the_server_is_read(console: Console, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("ssh-ed25519 hidden-words")
    content = FILE.replace("shop-{1..2}: {", f"shop-1: {{run_once: {{file: {tmp_path}/secret}}, ")
    status, page = post(console.browser(Role.OPERATOR), "/files", content=content, do="plan")
    assert status == 422 and "hidden-words" not in page


@pytest.mark.parametrize(
    "content",
    [HOSTILE,
     f"version: 1\nfleet: '{HOSTILE}'\nmachines: {{}}", f"{HOSTILE}: 1", FILE.replace("tiny", HOSTILE),
     FILE.replace("shop-{1..2}", f"'{HOSTILE}'"), "a: &a [*a]", "\0", "{" * 5000],
)  # fmt: skip
def test_a_mistake_is_told_as_text(console: Console, content: str) -> None:
    status, page = post(console.browser(Role.OPERATOR), "/files", content=content, do="plan")
    assert status == 422 and "<img" not in page and 'role="alert"' in page


def test_what_has_no_room_is_told(console: Console) -> None:
    content = FILE.replace("64M, sparse: true", "4T")
    status, page = post(console.browser(Role.OPERATOR), "/files", content=content, do="apply")
    assert status == 200 and "reserved overlays need" in page and 'value="apply"' not in page


def test_whoever_reaches_one_fleet_says_what_that_one_is_to_be(console: Console) -> None:
    console.fleet.create(["shop-2"], "tiny", replace(SMALL, fleet="secret-fleet"))
    theirs, others = console.browser(Role.OPERATOR, "shop"), console.browser(Role.OPERATOR, "toys")
    assert post(others, "/files", content=FILE, do="plan")[0] == 403
    assert post(theirs, "/files", content=FILE, do="plan", adopt="1")[0] == 403
    status, page = post(theirs, "/files", content=FILE, do="plan")
    assert status == 200 and "secret-fleet" not in page and "this name is taken" in page
    status, there = post(theirs, "/files", content=FEWER, do="apply")
    assert status == 303 and ended(console, of(there)).condition is Condition.DONE


def test_a_large_file_is_read_and_one_that_is_too_large_refused(console: Console) -> None:
    client = console.browser(Role.OPERATOR)
    large = FILE + "".join(f"# {number} {'x' * 90}\n" for number in range(5_000))
    assert "2 to create" in post(client, "/files", content=large, do="plan")[1]
    assert post(client, "/files", content="x" * (5 << 20), do="plan")[0] == 413
