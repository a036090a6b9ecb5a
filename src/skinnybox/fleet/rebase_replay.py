"""What a machine had beyond its old master, installed again on the new one.

Its own package manager does it, in the appliance and before its new overlay takes its place: a failure leaves
the machine as it was, and it need not be able to reach anybody.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from skinnybox.appliance.appliance import Appliance, Disk, operate, scratch_file
from skinnybox.delta.rebase.replay import Otherwise, Replay
from skinnybox.delta.rebase.replay import of as replay_of
from skinnybox.delta.rebase.values import Decision, Fate, Standing, Subject
from skinnybox.emulation.user import user_of
from skinnybox.errors import (
    Blocked,
    GuestFailed,
    NoSpace,
    NotFound,
    TimedOut,
    Unsupported,
    UsageError,
)
from skinnybox.fleet.context import Context
from skinnybox.fleet.view import MachineView
from skinnybox.layout import LAYERS
from skinnybox.masters import catalogue
from skinnybox.masters.guest_part import guest_folder
from skinnybox.masters.layers.catalogue import layers_of
from skinnybox.model import INITRD_FILE, KERNEL_FILE, Acceleration, ImageKind, Master
from skinnybox.operation import Operation
from skinnybox.overlays import edit
from skinnybox.package_cache import disk as package_disk

if TYPE_CHECKING:
    from skinnybox.package_cache.archive import Archive

_NAME = "replay"
_PARTS = ("begin", "view", "services")
_MINUTES, _MINUTES_FOR_THE_END = 100, 5
_MOST, _TOLD = 100, 5
_LONGEST_COMMAND = 2000
_SAID = re.compile(r"(update|install|hold|after|lost|late|note)\b(.*)")
_LONGEST = 400
_AT = re.compile(r"at ([a-z]{1,20})")
_STEPS = {
    "update": "the packages that were fetched",
    "install": "packages, with their maintainer scripts",
    "after": "what was said to run afterwards",
}
_FULL = "the disk is full"
_HINTS = {
    "lost": "--without NAME for a service that need not come again; --instead OLD=NEW, or --after COMMAND, "
    "for what makes it come",
    "late": "try again when less is going on; --without NAME leaves out a package whose scripts wait "
    "for what does not come",
    "after": "it runs in the machine's view, with its packages installed and no service running",
}


@dataclass(frozen=True, kw_only=True)
class Replaying:
    """How packages are installed again: from what `archive` opens, with `otherwise` for what is not to come
    as it was, and commands that run `after` them, each a line for a shell."""

    archive: "Callable[[], AbstractContextManager[Archive]]"
    otherwise: Otherwise = field(default_factory=Otherwise)
    after: tuple[str, ...] = ()


def archive(context: Context, new: Master) -> "AbstractContextManager[Archive]":
    """What the sources of that master have."""
    from skinnybox.package_cache.archive import opened

    return opened(context.masters.folder(new) / new.images[0].file, context.folder)


def judged(
    found: Iterator[Decision],
    archive: "Callable[[], AbstractContextManager[Archive]]",
    otherwise: Otherwise,
    operation: Operation,
) -> Iterator[Decision]:
    """All of them, and what the new release has not of what is to be installed again, or why nobody knows."""
    told: list[Decision] = []
    for each in found:
        if each.subject is Subject.PACKAGE:
            told.append(each)
        yield each
    wanted = otherwise.of(replay_of(told)).install
    if not wanted:
        return
    try:
        with archive() as opened:
            missing = opened.missing(wanted, operation)
    except (NotFound, Unsupported) as error:
        yield _not_to_be_had("packages", f"{error.message}; {error.hint}")
        return
    for name in missing:
        yield _not_to_be_had(
            name,
            "the new master's sources have no such package: --instead OLD=NEW names what takes its place, "
            "--without NAME leaves it out",
        )


def _not_to_be_had(name: str, why: str) -> Decision:
    return Decision(
        subject=Subject.PACKAGE,
        kind="not to be had",
        fate=Fate.ASK,
        name=name,
        detail=why,
        standing=Standing.BLOCKED,
    )


def check_commands(after: tuple[str, ...], *, replay: bool) -> tuple[str, ...]:
    """Raises UsageError for what is no single line, and where there is no replay."""
    if after and not replay:
        raise UsageError("no command runs after packages without a replay", hint="say --replay as well")
    for command in after:
        if not command.strip() or "\n" in command or "\0" in command or len(command) > _LONGEST_COMMAND:
            raise UsageError(f"{command[:60]!r} is no command of one line", hint="a script can be put there")
    return after


def reinstalled(
    new: Path,
    machine: MachineView,
    master: Master,
    folder: Path,
    replay: Replay,
    how: Replaying,
    scratch: Path,
    operation: Operation,
    accelerator: Acceleration = Acceleration.AUTO,
) -> None:
    """Into the overlay `new` of a machine that is off, which is nobody's yet and of no use when this fails.
    Blocks, for many minutes where much is to be installed.

    Raises Blocked with what its package manager says; NoSpace when the overlay is too small for it;
    GuestFailed and TimedOut when nobody knows."""
    with _packages(how.otherwise.of(replay), how, scratch, operation) as (wanted, disk):
        heard = Heard(operation)
        appliance = _appliance(new, machine, master, folder, disk, wanted, how, accelerator)
        try:
            operate(appliance, _NAME, heard, scratch)
        except GuestFailed as error:
            if _FULL not in error.message:
                raise
            raise NoSpace(
                f"the overlay of {machine.name} is too small for its packages on {master.reference}",
                hint="`skinnybox grow` gives it more",
            ) from error
    _refuse(machine, master, heard.found)
    for note in heard.notes:
        operation.note(f"{machine.name}: {note}")
    edit.settled(new)


@contextmanager
def _packages(
    wanted: Replay, how: Replaying, scratch: Path, operation: Operation
) -> Iterator[tuple[Replay, Path]]:
    """With what nobody asked for as far as it comes again and nothing needs it."""
    with scratch_file(scratch, 0) as disk:
        if wanted.install or wanted.gone:
            operation.step(task="packages", detail="what the new release has")
            with how.archive() as archive:
                again, gone = wanted.install, wanted.gone
                had = archive.recommended(again, wanted.automatic, gone, operation)
                wanted = replace(wanted, automatic=tuple(had))
                package_disk.made(archive, (*again, *had), gone, disk, operation)
        else:
            wanted = replace(wanted, automatic=())
            package_disk.empty(disk, operation)
        yield wanted, disk


def _appliance(
    new: Path,
    machine: MachineView,
    master: Master,
    folder: Path,
    packages: Path,
    wanted: Replay,
    how: Replaying,
    accelerator: Acceleration,
) -> Appliance:
    programs, layers = guest_folder() / "appliance", _layers(machine, master, folder)
    return Appliance(
        kernel=folder / KERNEL_FILE,
        initrd=folder / INITRD_FILE,
        program=(programs / _NAME).read_bytes(),
        files={
            **{part: (programs / part).read_bytes() for part in _PARTS},
            "wishes": _wishes(wanted, how.otherwise),
            "links": "".join(f"{path} {target}\n" for path, target in wanted.links).encode(),
            "alternatives": "".join(f"{name} {path}\n" for name, path in wanted.alternatives).encode(),
            "off": "".join(f"{path}\n" for path in wanted.off).encode(),
            "deleted": "".join(f"{path}\n" for path in wanted.deleted).encode(),
            "after": "".join(f"{command}\n" for command in how.after).encode(),
            # What it says of its steps has to come before it is ended from here.
            "seconds": b"%d\n" % (60 * (_MINUTES - _MINUTES_FOR_THE_END)),
        },
        words=f"{_NAME}.layers={len(layers)}",
        disks=(
            Disk(serial="skinny-master", file=folder / picture(master, machine)),
            Disk(serial="skinny-overlay", file=new, writable=True),
            Disk(serial="skinny-packages", file=packages),
            *(Disk(serial=f"skinny-layer-{number}", file=file) for number, file in enumerate(layers, 1)),
        ),
        user=user_of(machine.instance),
        seconds=60 * _MINUTES,
        accelerator=accelerator,
    )


def _layers(machine: MachineView, master: Master, folder: Path) -> list[Path]:
    """The images of its layers, from the lowest up, of the kind that it would have above that master, as far
    as they have one."""
    kind = next(image.kind for image in master.images if image.file == picture(master, machine))
    store = folder.parents[1] / LAYERS
    found = layers_of(store, machine.instance.stack)
    return [catalogue.folder(store, layer) / (layer.image_of(kind) or image).file for layer, image in found]


def picture(master: Master, machine: MachineView | None = None) -> str:
    """The file of the image that a machine would boot from; all of a master hold the same."""
    if machine is not None and machine.instance.stack.dax:
        plain = master.image_of(ImageKind.EROFS_PLAIN)
        if plain is not None:
            return plain.file
    return master.images[0].file


def _wishes(wanted: Replay, otherwise: Otherwise) -> bytes:
    lists = (
        ("install", wanted.install),
        ("automatic", wanted.automatic),
        ("remove", wanted.gone),
        ("purge", wanted.purge),
        ("hold", wanted.hold),
        ("without", sorted(otherwise.without)),
    )
    return "".join(f"{word} {name}\n" for word, names in lists for name in names).encode()


def _refuse(machine: MachineView, new: Master, found: list[tuple[str, str]]) -> None:
    if not found:
        return
    kind = "late" if any(kind == "late" for kind, _ in found) else found[0][0]
    told = "; ".join(text for _, text in found[:_TOLD])
    more = f"; and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    if kind == "late":
        raise TimedOut(
            f"{machine.name} stays as it was: its packages on {new.reference}: {told}{more}",
            hint=_HINTS[kind],
        )
    what = "services that ran would not come again" if kind == "lost" else f"its packages ({kind})"
    raise Blocked(
        f"{machine.name} would not be whole on {new.reference}, and stays as it was: {what}: {told}{more}",
        hint=_HINTS.get(kind, "--without NAME leaves a package out, --instead OLD=NEW takes another"),
    )


class Heard:
    """What it says, line by line: a stranger's text, of which so much is kept, and no more."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self.found: list[tuple[str, str]] = []
        self.notes: list[str] = []

    def __call__(self, said: str) -> None:
        step, found = _AT.fullmatch(said), _SAID.fullmatch(said)
        if step:
            self._operation.step(task=_NAME, detail=_STEPS.get(step[1], "inside"))
        elif found:
            # What failed is a finding, whatever is said of it: none would mean that all is well.
            text = found[2].strip()[:_LONGEST] or "no reason was said"
            if found[1] == "note" and len(self.notes) < _MOST:
                self.notes.append(text)
            elif found[1] != "note" and len(self.found) < _MOST:
                self.found.append((found[1], text))
