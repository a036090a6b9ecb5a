"""An overlay that was built and has not taken its place yet: what is installed in it again, and the gate.

A host that cannot run machines cannot look into one either, and leaves both out.
"""

from dataclasses import dataclass
from pathlib import Path

from skinnybox.delta.rebase.masters import Files
from skinnybox.delta.rebase.replay import Replay
from skinnybox.fleet import rebase_gate, rebase_replay
from skinnybox.fleet.context import Context
from skinnybox.fleet.rebase_replay import Replaying
from skinnybox.fleet.view import MachineView
from skinnybox.model import Instance, Master
from skinnybox.operation import Operation


@dataclass(frozen=True, slots=True)
class Look:
    """`images` are the overlay of a machine that is off, and what was built for `new` from it; `files` those
    of both masters."""

    context: Context
    instance: Instance
    new: Master
    images: tuple[Path, Path]
    files: tuple[Files, Files]

    def install_again(self, replay: Replay, how: Replaying, operation: Operation) -> None:
        """Raises what rebase_replay does. Owners are looked at before: scripts give files to others."""
        if not self.context.host.features.boots:
            return
        context, machine = self.context, self._machine
        rebase_gate.check_owners(*self.images, machine, *self._masters, context.folder, self.files)
        operation.step(f"{machine.name}: packages")
        folder = context.masters.folder(self.new)
        rebase_replay.reinstalled(
            self.images[1], machine, self.new, folder, replay, how, context.folder, operation,
            context.accelerator,
        )  # fmt: skip

    def pass_gate(self, operation: Operation, *, reinstalled: bool) -> None:
        """Raises what rebase_gate does."""
        if not self.context.host.features.boots:
            return
        context, machine = self.context, self._machine
        operation.step(f"{machine.name}: gate")
        rebase_gate.check(
            *self.images, machine, *self._masters, context.folder, operation, context.accelerator,
            reinstalled=reinstalled, files=self.files,
        )  # fmt: skip

    @property
    def _machine(self) -> MachineView:
        return self.context.queries.view(self.instance)

    @property
    def _masters(self) -> tuple[tuple[Master, Master], tuple[Path, Path]]:
        masters = self.context.masters
        old = masters.by_id(self.instance.stack.master)
        return (old, self.new), (masters.folder(old), masters.folder(self.new))
