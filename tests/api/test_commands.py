"""Every command of the command line can be asked for over the network, or it is said why not."""

import argparse
from collections.abc import Iterator

import pytest
from fastapi import FastAPI

from skinnybox.api.document import openapi
from skinnybox.api.routes import router
from skinnybox.cli.parser import build_parser

_HERE = "its terminal, and files of who types it, are on one side of it"
_FILE = "it writes a file on the server's own disk"
OPERATIONS = {
    "master build": "POST /builds", "master import": "POST /imports", "master list": "GET /masters",
    "master show": "GET /masters/{reference}/system", "master diff": "GET /masters/{reference}/differences",
    "master verify": "POST /masters/{reference}/verify", "master remove": "DELETE /masters/{reference}",
    "master edit": "POST /masters/{reference}/edits",
    "layer import": "POST /layers/imports", "layer build": "POST /layers/builds",
    "layer list": "GET /layers", "layer show": "GET /layers/{reference}",
    "layer verify": "POST /layers/{reference}/verify", "layer remove": "DELETE /layers/{reference}",
    "master gc": "POST /garbage/collect", "create": "POST /machines", "delete": "POST /actions/delete",
    "list": "GET /machines", "show": "GET /machines/{name}",
    "copy": "POST /machines/{name}/copies", "rename": "POST /machines/{name}/name", "top": "GET /load",
    "logs": "GET /machines/{name}/console-log", "start": "POST /actions/start", "stop": "POST /actions/stop",
    "restart": "POST /actions/restart", "kill": "POST /actions/kill", "wait": "POST /actions/wait",
    "autostart on": "POST /actions/set", "autostart off": "POST /actions/set",
    "plan": "POST /fleet-files/plan", "apply": "POST /fleet-files/apply", "set": "PATCH /machines/{name}",
    "forward": "GET /forwards", "changes": "GET /machines/{name}/changes", "reset": "POST /actions/reset",
    "slim": "POST /actions/slim", "promote": "POST /machines/{name}/promotion",
    "export": "GET /machines/{name}/export",
    "grow": "POST /actions/grow", "snapshot create": "POST /actions/snapshot",
    "snapshot list": "GET /snapshots", "snapshot restore": "POST /actions/restore",
    "snapshot delete": "POST /actions/delete-snapshot", "events": "GET /events", "jobs list": "GET /jobs",
    "jobs show": "GET /jobs/{number}", "jobs follow": "GET /jobs/{number}",
    "jobs cancel": "POST /jobs/{number}/cancel", "token create": "POST /tokens", "token list": "GET /tokens",
    "token revoke": "DELETE /tokens/{identity}", "repair": "POST /repair", "capacity": "GET /capacity",
    "doctor": "GET /doctor", "rebase": "POST /actions/rebase", "rollback": "POST /actions/rollback",
}  # fmt: skip
OPTIONS = {
    "create --from": ("POST /restores", "POST /restores/uploads"),
    "create --dry-run": ("POST /preview",),
    "export --since": ("POST /machines/{name}/export",),
    "layer build --dry-run": ("POST /layers/builds/preview",),
    "promote --dry-run": ("GET /machines/{name}/promotion",),
    "rebase --dry-run": ("POST /rebase-plans", "POST /machines/{name}/rebase-plan"),
    "rebase --explain": ("POST /machines/{name}/rebase-plan/explain",),
    "apply --dry-run": ("POST /fleet-files/plan",), "master gc --dry-run": ("GET /garbage",),
    "repair --dry-run": ("GET /repair",), "changes --stat": ("GET /machines/{name}/changes/summary",),
    "reset --dry-run": ("GET /machines/{name}/reset/preview",),
    "slim --dry-run": ("GET /machines/{name}/slim/preview",),
}  # fmt: skip
"""What makes another operation of a command."""
FORKS = {"--dry-run", "--from", "--since", "--explain"}
NOT_OVER_A_NETWORK = {
    "console": "it is a WebSocket of the web console",
    "ssh": _HERE,
    "exec": f"{_HERE}; the console is the way in",
    "cp": _HERE,
    "flatten": _FILE,
    "move": "it takes machines to another folder of the server's own computer, which who asks cannot see",
    "archive show": "the file is on the side of who types it; `POST /restores/uploads` looks at one first",
    "receive": "it is the other end of `move` by ssh",
    "seed-disk": _FILE,
    "master disk": _FILE,
    "autostart unit": "it prints a unit for the server's own systemd",
    "completion": "it is for a shell",
    "serve": "it is the server",
}


def _commands(
    parser: argparse.ArgumentParser, before: str = ""
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                yield from _commands(child, f"{before} {name}".strip())
            return
    yield before, parser


def _options(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


@pytest.fixture(scope="module")
def operations() -> set[str]:
    app = FastAPI(title="Skinnybox", version="1")
    app.include_router(router)
    paths = openapi(app)["paths"]
    return {
        f"{method.upper()} {path.removeprefix('/api/v1')}" for path, its in paths.items() for method in its
    }


def test_every_command_is_an_operation_or_said_to_be_none(operations: set[str]) -> None:
    commands = {name for name, _ in _commands(build_parser())}
    known = OPERATIONS.keys() | NOT_OVER_A_NETWORK.keys()
    assert commands - known == set()
    assert known - commands == set()
    assert set(OPERATIONS.values()) - operations == set()
    assert not OPERATIONS.keys() & NOT_OVER_A_NETWORK.keys()


def test_every_option_that_makes_another_operation_of_a_command_has_one(operations: set[str]) -> None:
    given = {f"{name} {option}" for name, its in _commands(build_parser()) for option in _options(its)}
    forks = {each for each in given if each.rpartition(" ")[2] in FORKS}
    assert forks - OPTIONS.keys() == set()
    assert OPTIONS.keys() - given == set()
    assert {each for several in OPTIONS.values() for each in several} - operations == set()
