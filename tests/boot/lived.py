"""A machine whose making takes long, kept until what it is for has passed: a test that failed late begins
there again, and not at its first package."""

import json
from pathlib import Path

from skinnybox.errors import SkinnyboxError
from skinnybox.fleet.service import Fleet

LABEL = "lived"


def keep(fleet: Fleet, folder: Path, name: str, of: str, known: dict[str, str]) -> None:
    """As it is now, off. `of` says of what it was made, `known` what is to be found in it."""
    (outcome,) = fleet.overlays.snapshot([name], LABEL)
    if outcome.error:
        raise outcome.error
    folder.mkdir(exist_ok=True)
    _noted(folder, name).write_text(json.dumps({"of": of, "known": known}))


def kept(fleet: Fleet, folder: Path, name: str, of: str) -> dict[str, str] | None:
    """What was known of it, which is as it was then; None where there is none, or of something else."""
    if name not in fleet.names() or not _noted(folder, name).exists():
        return None
    told = json.loads(_noted(folder, name).read_text())
    if told["of"] != of or not _put_back(fleet, name):
        return None
    return {str(key): str(value) for key, value in told["known"].items()}


def names(fleet: Fleet, folder: Path) -> list[str]:
    return [name for name in fleet.names() if _noted(folder, name).exists()]


def forget(fleet: Fleet, folder: Path, name: str) -> None:
    _noted(folder, name).unlink(missing_ok=True)
    if name in fleet.names():
        fleet.delete([name], force=True)


def _put_back(fleet: Fleet, name: str) -> bool:
    """Whatever a test that failed left of it."""
    fleet.kill([name])
    try:
        if fleet.machine(name).instance.trial is not None:
            (back,) = fleet.rebases.rollback([name])
            if back.error:
                return False
            fleet.kill([name])
        (restored,) = fleet.overlays.restore([name], LABEL)
    except SkinnyboxError:
        return False
    return restored.ok


def _noted(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"
