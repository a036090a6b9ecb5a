"""Tokens: who is let in by which secret, and who is not. Of a secret only its digest is anywhere."""

import contextlib
import json
import re
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from skinnybox.cli.complete import candidates
from skinnybox.errors import Corrupt, NotFound, SkinnyboxError, UsageError
from skinnybox.fleet import tokens
from skinnybox.fleet.catalog import tokens as table
from skinnybox.fleet.service import Fleet
from skinnybox.fleet.tokens import Role
from tests.fleet.conftest import SPARSE, open_fake, said


def changed(state: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(state / "state.db")) as db, db:
        db.execute(statement)


def test_who_shows_its_secret_is_known(fleet: Fleet) -> None:
    made, secret = fleet.tokens.create("alice", Role.OPERATOR, fleet="web")
    assert re.fullmatch(rf"sk_{made.id}_[A-Za-z0-9_-]{{43}}", secret)
    found = fleet.tokens.shown(secret)
    assert found is not None
    assert (found.name, found.role, found.fleet, found.expires) == ("alice", Role.OPERATOR, "web", None)


def test_no_two_are_alike(fleet: Fleet) -> None:
    secrets = {fleet.tokens.create("a", Role.VIEWER)[1] for _ in range(50)}
    assert len(secrets) == 50 and len({secret[:13] for secret in secrets}) == 50


def flipped(secret: str, at: int) -> str:
    return secret[:at] + ("A" if secret[at] != "A" else "B") + secret[at + 1 :]


WRONG: dict[str, Callable[[str, str], str]] = {
    "first of the secret": lambda mine, _: flipped(mine, 14),
    "last of the secret": lambda mine, _: flipped(mine, len(mine) - 2),
    "another's secret": lambda mine, other: mine[:14] + other[14:],
    "another's id": lambda mine, other: other[:14] + mine[14:],
    "an id of nobody": lambda mine, _: "sk_aaaaaaaaaa_" + mine[14:],
    "only the id": lambda mine, _: mine[:13],
    "nothing": lambda *_: "",
    "no secret": lambda mine, _: mine[:14],
    "more": lambda mine, _: mine + "A",
    "a line more": lambda mine, _: mine + "\n",
    "capitals": lambda mine, _: mine.upper(),
    "a wildcard": lambda mine, _: "sk_%%%%%%%%%%_" + mine[14:],
    "other letters": lambda mine, _: mine[:-1] + "é",
    "its digest": lambda mine, _: "sk_" + mine[3:14] + tokens._digest(mine[14:])[:43],
    "a novel": lambda mine, _: mine * 10_000,
}


@pytest.mark.parametrize("how", WRONG)
def test_nobody_else_is_let_in(fleet: Fleet, how: str) -> None:
    _, mine = fleet.tokens.create("alice", Role.VIEWER)
    _, other = fleet.tokens.create("bob", Role.ADMIN)
    shown = WRONG[how](mine, other)
    assert shown not in (mine, other)
    assert fleet.tokens.shown(shown) is None


def test_no_secret_is_written_anywhere(fleet: Fleet, state: Path) -> None:
    _, secret = fleet.tokens.create("alice", Role.VIEWER)
    assert fleet.tokens.shown(secret)
    fleet.tokens.all(), fleet.jobs.all()
    written = b"".join(path.read_bytes() for path in state.rglob("*") if path.is_file())
    assert b"alice" in written and secret[14:].encode() not in written


def test_who_is_revoked_stays_out_at_once(fleet: Fleet, state: Path) -> None:
    made, secret = fleet.tokens.create("alice", Role.ADMIN)
    _, other = fleet.tokens.create("bob", Role.ADMIN)
    assert fleet.tokens.shown(secret)
    with open_fake(state) as elsewhere:
        elsewhere.tokens.revoke(made.id)
    assert fleet.tokens.shown(secret) is None
    assert fleet.tokens.shown(other)
    for again in (made.id, "nobody", secret):
        with pytest.raises(NotFound):
            fleet.tokens.revoke(again)
    assert [token.name for token in fleet.tokens.all()] == ["bob"]


def test_one_lasts_until_it_expires(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    made, secret = fleet.tokens.create("alice", Role.VIEWER, lasts=timedelta(hours=1))
    assert made.expires is not None and fleet.tokens.shown(secret)
    now = made.expires - timedelta(seconds=1)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Clock":
            return cls.fromtimestamp(now.timestamp(), UTC)

    monkeypatch.setattr(tokens, "datetime", Clock)
    assert fleet.tokens.shown(secret)
    now = made.expires
    assert fleet.tokens.shown(secret) is None
    assert not tokens.lives(fleet.tokens.one(made.id))


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb", "\x1b[2J"])
def test_a_name_is_what_can_be_printed(fleet: Fleet, name: str) -> None:
    with pytest.raises(UsageError):
        fleet.tokens.create(name, Role.VIEWER)


@pytest.mark.parametrize("lasts", [timedelta(0), timedelta(days=-1), timedelta(days=3651)])
def test_a_time_is_one_that_somebody_may_see(fleet: Fleet, lasts: timedelta) -> None:
    with pytest.raises(UsageError):
        fleet.tokens.create("a", Role.VIEWER, lasts=lasts)


@pytest.mark.parametrize("name", ["", "Web", "a b", "../x"])
def test_a_fleet_is_what_a_file_may_say(fleet: Fleet, name: str) -> None:
    with pytest.raises(UsageError, match="is no fleet's name"):
        fleet.tokens.create("a", Role.VIEWER, fleet=name)


def test_its_use_is_noted_but_not_each_time(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    made, secret = fleet.tokens.create("alice", Role.VIEWER)
    assert fleet.tokens.one(made.id).used is None
    before = datetime.now(UTC) - timedelta(minutes=1)
    fleet.tokens.shown(secret)
    used = fleet.tokens.one(made.id).used
    assert used is not None and used >= before
    wrote: list[object] = []
    monkeypatch.setattr(table, "note_use", lambda *_: wrote.append(1))
    fleet.tokens.shown(secret)
    assert not wrote
    monkeypatch.setattr(tokens, "_USE_NOTED", timedelta(0))
    fleet.tokens.shown(secret)
    assert wrote


BROKEN = (
    "role = 'root'", "role = ''", "digest = 'é'", "digest = ''", "made = 'yesterday'",
    "made = '2026-01-01T00:00:00'", "expires = 'soon'", "expires = '2999-01-01T00:00:00'", "used = '1'",
)  # fmt: skip


@pytest.mark.parametrize("broken", BROKEN)
def test_by_a_damaged_one_nobody_comes_in(fleet: Fleet, state: Path, broken: str) -> None:
    made, secret = fleet.tokens.create("alice", Role.VIEWER)
    _, other = fleet.tokens.create("bob", Role.VIEWER)
    changed(state, f"UPDATE tokens SET {broken} WHERE id = '{made.id}'")
    with pytest.raises(Corrupt, match=made.id):
        fleet.tokens.shown(secret)
    with pytest.raises(Corrupt, match=made.id):
        fleet.tokens.all()
    assert fleet.tokens.shown(other)
    fleet.tokens.revoke(made.id)
    assert len(fleet.tokens.all()) == 1


def test_who_can_only_read_lets_in_as_well(
    fleet: Fleet, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = fleet.tokens.create("alice", Role.VIEWER)
    monkeypatch.setattr(fleet._catalog.database, "read_only", SkinnyboxError("the disk is read-only"))
    found = fleet.tokens.shown(secret)
    assert found is not None and found.used is None


def test_without_machines_there_may_be_tokens(tmp_path: Path) -> None:
    with open_fake(tmp_path / "new") as fleet:
        assert fleet.tokens.all() == [] and fleet.tokens.shown("sk_aaaaaaaaaa_" + "A" * 43) is None
        assert not (tmp_path / "new").exists()
        _, secret = fleet.tokens.create("alice", Role.ADMIN)
        assert fleet.tokens.shown(secret)


def test_an_earlier_version_reads_the_catalog(fleet: Fleet, state: Path) -> None:
    """Tokens are no part of the format: it opens beside them, and one without them opens here."""
    fleet.create(["a"], "tiny", SPARSE)
    _, secret = fleet.tokens.create("alice", Role.VIEWER)
    with contextlib.closing(sqlite3.connect(state / "state.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    fleet._catalog.close()
    changed(state, "DROP TABLE tokens")
    with open_fake(state) as older:
        assert older.names() == ["a"]
        assert older.tokens.shown(secret) is None
        assert older.tokens.shown(older.tokens.create("bob", Role.VIEWER)[1])


def test_a_rebuilt_catalog_lets_nobody_in(fleet: Fleet, state: Path) -> None:
    fleet.create(["a"], "tiny", SPARSE)
    _, secret = fleet.tokens.create("alice", Role.ADMIN)
    fleet._catalog.close()
    for path in state.glob("state.db*"):
        path.write_bytes(b"no database")
    with open_fake(state) as broken:
        broken.upkeep.repair()
    with open_fake(state) as rebuilt:
        assert rebuilt.names() == ["a"]
        assert rebuilt.tokens.shown(secret) is None and rebuilt.tokens.all() == []


def test_roles_rise() -> None:
    assert Role.VIEWER < Role.OPERATOR < Role.ADMIN
    assert [str(role) for role in Role] == ["viewer", "operator", "admin"]


@pytest.fixture
def here(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKINNYBOX_STATE", str(state))
    monkeypatch.setenv("SKINNYBOX_HOST", "fake")


@pytest.mark.usefixtures("here")
def test_the_command_line(fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    made = said(capsys, "token", "create", "alice", "--role", "operator", "--expires", "90d")
    assert made.code == 0 and re.fullmatch(r"sk_\w{10}_[\w-]{43}\n", made.out)
    identity = made.out[3:13]
    assert made.err == f"this is the token of alice, {identity}; it is not shown again\n"
    token = fleet.tokens.shown(made.out.strip())
    assert token is not None and token.expires is not None
    assert token.expires - token.made == timedelta(days=90)
    shown = said(capsys, "token", "create", "ci", "--role", "viewer", "--fleet", "web", "--format", "json")
    record = json.loads(shown.out)
    assert fleet.tokens.shown(record["secret"]) and (record["fleet"], record["role"]) == ("web", "viewer")
    listed = said(capsys, "token", "list")
    assert [line.split()[:4] for line in listed.out.splitlines()[1:]] == [
        [identity, "alice", "operator", "-"], [record["token"], "ci", "viewer", "web"]
    ]  # fmt: skip
    assert (
        record["secret"] not in listed.out
        and "secret" not in said(capsys, "token", "list", "--format", "json").out
    )
    assert candidates(["tokens"]) == sorted([identity, record["token"]])
    assert said(capsys, "token", "revoke", identity).out == f"{identity}: revoked\n"
    assert said(capsys, "token", "revoke", identity).code == NotFound.exit_code
    assert said(capsys, "-q", "token", "revoke", record["token"]) == (0, "", "")
    assert said(capsys, "-q", "token", "create", "x", "--role", "admin").err == ""
    assert [job.verb for job in fleet.jobs.all()] == ["token create", "token create", "token revoke",
        "token revoke", "token revoke", "token create"]  # fmt: skip


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "words",
    ["a", "a --role root", "a --role admin --expires 0d", "a --role admin --expires 90",
     "a --role admin --expires 99999w", "a --role admin --fleet A", "--role admin"],
)  # fmt: skip
def test_what_is_no_token_is_refused(words: str, fleet: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "token", "create", *words.split()).code == UsageError.exit_code
    assert fleet.tokens.all() == []
