"""A server whose machines take their time: `python -m tests.serve.slow_server --state S serve ...`.

Each disk takes a while, and guests are ready once the file `let` lies beside the state folder. For each line
that is written to `asked` there (`create w-{1..40}`) a job is begun, as a request would.
"""

import sys
import threading
import time
from pathlib import Path

from skinnybox.cli.main import run_command
from skinnybox.fleet import registry
from skinnybox.fleet.jobs import Actor
from skinnybox.fleet.power import Stopping
from skinnybox.fleet.service import Fleet
from skinnybox.gate.served import Served
from skinnybox.hosts.base import Contents, Host
from skinnybox.hosts.fake.host import FakeHost
from skinnybox.hosts.preferences import Preferences
from skinnybox.model import DiskKind, Instance
from skinnybox.operation import Operation
from skinnybox.serve import process
from tests.fleet.conftest import SPARSE

WHO = Actor(name="tester", origin="192.0.2.1")


class SlowHost(FakeHost):
    def __init__(self, state: Path) -> None:
        super().__init__(state, lambda uuid: (state.parent / "let").exists())

    def create_overlay(
        self, instance: Instance, contents: Contents, operation: Operation, disk: DiskKind = DiskKind.OVERLAY
    ) -> None:
        time.sleep(0.05)
        super().create_overlay(instance, contents, operation, disk)


def _open(_: str, folder: Path, __: Preferences) -> Host:
    return SlowHost(folder)


def deploy(fleet: Fleet, verb: str, pattern: str) -> int:
    def act(operation: Operation) -> object:
        if verb == "create":
            return fleet.create([pattern], "tiny", SPARSE, skip_existing=True, operation=operation)
        if verb == "stop":
            return fleet.stop([pattern], Stopping(), operation)
        return fleet.start([pattern], parallel=40, operation=operation)

    return fleet.background.begin(WHO, verb, [pattern], act)


def obey(fleet: Fleet, asked: Path) -> None:
    done = 0
    while True:
        lines = asked.read_text().splitlines() if asked.exists() else []
        for line in lines[done:]:
            deploy(fleet, *line.split())
        done = len(lines)
        time.sleep(0.02)


def main() -> int:
    registry._OPENERS["fake"] = _open
    real = vars(process)["create_app"]

    def create_app(served: Served):  # type: ignore[no-untyped-def]
        folder = served.fleet._folder
        threading.Thread(target=obey, args=(served.fleet, folder.parent / "asked"), daemon=True).start()
        return real(served)

    vars(process)["create_app"] = create_app
    return run_command(["--host", "fake", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
