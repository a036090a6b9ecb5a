"""A batch in three forms that mean the same: what the page asks for, a command line, a fleet file."""

import shlex
from dataclasses import fields, replace
from pathlib import Path

import pytest
import yaml

from skinnybox.cli import specified
from skinnybox.cli.parser import build_parser
from skinnybox.errors import UsageError
from skinnybox.fleet.plan.actions import Choices, Verb
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.settings import Settings
from skinnybox.fleet.specification import completed
from skinnybox.web import batch
from skinnybox.web.batch import Batch
from tests.samples import PUBLIC_KEY

PLAIN = Batch(master="tiny:1")
FULL = Batch(
    master="tiny:1", prefix="shop it's-", first="7", last="12", digits="3", overlay="2G",
    memory="1G", cpus="2", data="64M", layers="site, tools:1", bridge="br0",
    address="10.0.0.11/24, fd00::11/64", gateway="10.0.0.1",
    dns="10.0.0.1 10.0.0.2", user="ops", keys=PUBLIC_KEY, labels="role=web,site=widgets", sparse=True,
    start=False, autostart=True, protect=True, skip_existing=True,
)  # fmt: skip


@pytest.mark.parametrize("asked", [PLAIN, FULL, replace(PLAIN, network="open"), replace(PLAIN, last="1")])
def test_the_command_line_means_the_same(
    asked: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(batch.KEY_FILE).write_text(f"{asked.keys}\n")
    words = shlex.split(batch.command(asked))
    said = build_parser().parse_args(words[1:])
    assert (words[0], said.names, said.master) == ("skinnybox", [asked.pattern], asked.master)
    assert (said.start, said.skip_existing) == (asked.start, asked.skip_existing)
    settings = Settings(state=tmp_path)
    assert specified.specification(said, settings) == batch.specification(asked, None)
    [group] = yaml.safe_load(batch.fleet_file(asked, None))["machines"].values()
    assert group.get("layers", []) == said.layer


@pytest.mark.parametrize(
    "asked", [PLAIN, replace(FULL, prefix="shop-", layers=""), replace(PLAIN, network="open")]
)
def test_the_fleet_file_makes_the_same(asked: Batch, fleet: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(batch.fleet_file(asked, None))
    plan = fleet.files.plan(file, Choices())
    wanted = [action.wanted for action in plan.actions if action.verb is Verb.CREATE]
    told = fleet.preview([asked.pattern], asked.master, batch.specification(asked, None), skip_existing=False)
    assert [each.name for each in wanted if each] == [each.name for each in told.machines]
    mine = completed(batch.specification(asked, plan.fleet), fleet.features)
    for each, one in zip(wanted, told.machines, strict=True):
        assert each is not None
        network = each.specification.static_network
        assert one.addresses == (network.addresses if network else ())
        differs = {
            field.name
            for field in fields(mine)
            if getattr(mine, field.name) != getattr(each.specification, field.name)
        }
        # The fleet's own key comes first there, each has its own address, and a file says reserved or sparse.
        assert differs <= {"authorized_keys", "static_network", "any_allocation"}
        assert each.specification.authorized_keys[1:] == mine.authorized_keys
    assert {action.verb for action in plan.actions} == {Verb.CREATE, *([Verb.START] if asked.start else [])}


@pytest.mark.parametrize(
    "wrong",
    [
        replace(PLAIN, first="one"), replace(PLAIN, last=""), replace(PLAIN, digits="40"),
        replace(PLAIN, overlay="huge"), replace(PLAIN, cpus="-1"), replace(PLAIN, gateway="10.0.0.1"),
        replace(PLAIN, network="wan"), replace(PLAIN, network="open", bridge="br0"),
        replace(PLAIN, keys="-----BEGIN OPENSSH PRIVATE KEY-----"), replace(PLAIN, labels="novalue"),
        replace(PLAIN, first="9", last="1"), replace(PLAIN, prefix="<b>"), replace(PLAIN, last="999999999"),
        replace(PLAIN, last="5001"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told(wrong: Batch, fleet: Fleet) -> None:
    with pytest.raises(UsageError):
        fleet.preview([wrong.pattern], "tiny:1", batch.specification(wrong, None), skip_existing=False)


def test_a_box_that_is_not_ticked_is_not_sent() -> None:
    from starlette.datastructures import FormData

    assert not batch.sent(FormData({"prefix": "a"})).start
    assert batch.sent(FormData({"prefix": " a ", "start": "1"})) == Batch(prefix="a", start=True)


def test_the_next_numbers_are_those_behind() -> None:
    assert batch.following(["web-07", "web-9x", "db-12", "web-"], "web-") == 8
    assert batch.following([], "web-") == 1
