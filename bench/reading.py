"""What every reading command costs at ten thousand machines, against one thousand: `python -m bench.reading`.

Ten times the machines may cost ten times as much, and a little more: what costs more than that grows faster
than the fleet, and some day is what stands still. Counted is the processor time of whole processes, in turn.
The machines are the fake host's: half of them run and have reported, some have a snapshot. No command here
changes a machine.
"""

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from bench.measure import Verdict, alternate, ratio, verdict
from bench.store import cpu, scratch, seal_something, skinnybox

FEW, MANY = 1_000, 10_000
LIMIT = 12
PAIRS = 5

COMMANDS = (
    ("list",),
    ("list", "--format", "json"),
    ("list", "--names"),
    ("list", "m-*"),
    ("list", "m-{{1..{count}}}"),
    ("show", "m-*"),
    ("show", "m-7"),
    ("capacity",),
    ("events",),
    ("events", "m-*"),
    ("jobs", "list"),
    ("token", "list"),
    ("doctor",),
    ("repair", "--dry-run"),
    ("snapshot", "list"),
    ("plan", "{there}"),
    ("plan", "{changed}"),
    ("plan", "{new}"),
    ("changes", "m-8"),
    ("console", "--log", "m-7"),
    ("logs", "m-7"),
    ("top", "--once", "--interval", "0.1"),
    ("forward",),
    ("wait", "m-7"),
    ("autostart", "unit"),
    ("master", "list"),
    ("layer", "list"),
    ("master", "show", "bench"),
    ("master", "diff", "bench", "bench"),
    ("master", "gc", "--dry-run"),
    ("master", "verify", "bench"),
    ("create", "--dry-run", "n-{{1..{count}}}", "-m", "bench"),
    ("completion", "bash"),
    ("__complete", "machines"),
    ("__complete", "masters"),
    ("__complete", "layers"),
    ("__complete", "tokens"),
)

_FLEET = """version: 1
fleet: bench
defaults: {{master: bench, overlay: 64M, sparse: true, memory: {memory}}}
machines:
  {name}-{{1..{count}}}:
"""


def main() -> int:
    os.environ["SKINNYBOX_HOST"] = "fake"
    with tempfile.TemporaryDirectory(prefix="skinnybox-bench-", dir=scratch()) as name:
        few, many = Path(name, "few"), Path(name, "many")
        for folder, count in ((few, FEW), (many, MANY)):
            folder.mkdir()
            _furnish(folder, count)
        return max(_compare(words, few, many) for words in COMMANDS).code


def _furnish(folder: Path, count: int) -> None:
    seal_something(folder)
    for file, name, memory in (("there", "m", "512M"), ("changed", "m", "1G"), ("new", "n", "512M")):
        (folder / file).write_text(_FLEET.format(name=name, memory=memory, count=count))
    skinnybox(folder, "apply", "-q", "-y", str(folder / "there"))
    skinnybox(folder, "start", "-q", "m-7")
    skinnybox(folder, "snapshot", "create", "-q", "m-*00", "--label", "kept")
    _pretend(folder)


def _pretend(folder: Path) -> None:
    """Every second machine runs as the one that was started does: starting each would take longer than all
    that is measured."""
    state = folder / "state"
    file = state / "pretended.json"
    ((_, entry),) = json.loads(file.read_bytes()).items()
    found = [json.loads(path.read_bytes()) for path in (state / "instances").glob("*/instance.json")]
    there = {str(UUID(each["uuid"])): each["name"] for each in found}
    running = {uuid: name for uuid, name in there.items() if int(name[2:]) % 2}
    file.write_text(json.dumps({uuid: {**entry, "name": name} for uuid, name in running.items()}))


def _compare(words: tuple[str, ...], few: Path, many: Path) -> Verdict:
    def at(folder: Path, count: int) -> Callable[[], float]:
        places = {name: str(folder / name) for name in ("there", "changed", "new")}
        given = [word.format(count=count, **places) for word in words]
        return lambda: cpu(folder, *given)

    at_many, at_few = alternate(at(many, MANY), at(few, FEW), PAIRS)
    name = " ".join(words).replace("{{1..{count}}}", "{1..N}").replace("{", "").replace("}", "")
    print(f"{name}: {_seconds(at_many)} at {MANY} machines, {_seconds(at_few)} at {FEW}")
    return verdict(name, ratio(at_many, at_few), LIMIT)


def _seconds(taken: list[float]) -> str:
    return f"{statistics.median(taken):.2f} s"


if __name__ == "__main__":
    sys.exit(main())
