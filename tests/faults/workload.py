"""What a guest is told to do while it will lose power, one step after the other, and what may be left of it.

Each step is a line of shell that ends with an fsync, of the file and of its folder. Once the guest has said
that a step is done, its outcome must outlive every power cut; while it is under way, all of it or nothing may
be there, or, where it writes into a file, a part of what it writes after all that was there before.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.faults.small_guest import FILES, lower_content

Contents = Mapping[str, bytes | None]
"""Paths without the leading slash, and their bytes; None: there is no such file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    line: str
    after: Contents
    growing: bool = False
    """Whether a part may be there while it is under way."""


def of_master() -> dict[str, bytes | None]:
    return {f"data/{number}": lower_content(number) for number in range(FILES)}


SEEDED = "etc/hostname"
"""What the seed wrote and the first step changes: it must stay changed."""
_FIRST = Step(line="echo edited >/etc/new && sync /etc/new && mv /etc/new /etc/hostname && sync /etc",
              after={SEEDED: b"edited\n"})  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Workload:
    """`files` is what the guest's files are after all steps given so far."""

    chance: random.Random
    files: dict[str, bytes | None] = field(default_factory=of_master)

    def steps(self, count: int) -> Iterator[Step]:
        kinds = (self._create, self._append, self._append, self._replace, self._rename, self._delete)
        yield _FIRST
        for number in range(1, count):
            step = self.chance.choice(kinds)(number)
            yield step
            self.files.update(step.after)

    def _present(self) -> list[str]:
        return [path for path, data in self.files.items() if data is not None]

    def _some(self, number: int) -> tuple[str, bytes]:
        """A shell line that prints some bytes, and the bytes."""
        size = self.chance.choice((7, 1000, 4096, 30_000))
        word = b"step %d\n" % number
        return f"yes 'step {number}' | head -c {size}", (word * (size // len(word) + 1))[:size]

    def _create(self, number: int) -> Step:
        says, data = self._some(number)
        path = f"srv/{number}"
        line = f"{says} >/{path} && sync /{path} && sync /srv"
        return Step(line=line, after={path: data}, growing=True)

    def _append(self, number: int) -> Step:
        says, data = self._some(number)
        path = self.chance.choice(self._present())
        old = self.files[path] or b""
        return Step(line=f"{says} >>/{path} && sync /{path}", after={path: old + data}, growing=True)

    def _replace(self, number: int) -> Step:
        says, data = self._some(number)
        path = self.chance.choice(self._present())
        folder = path.split("/")[0]
        line = f"{says} >/{folder}/new && sync /{folder}/new && mv /{folder}/new /{path} && sync /{folder}"
        return Step(line=line, after={path: data})

    def _rename(self, number: int) -> Step:
        old = self.chance.choice(self._present())
        folder = old.split("/")[0]
        new = f"{folder}/moved-{number}"
        return Step(line=f"mv /{old} /{new} && sync /{folder}", after={old: None, new: self.files[old]})

    def _delete(self, number: int) -> Step:
        path = self.chance.choice(self._present())
        return Step(line=f"rm /{path} && sync /{path.split('/')[0]}", after={path: None})


def allowed(before: Contents, step: Step, seen: Contents) -> bool:
    """Whether a cut while this step was under way may leave these contents of the step's paths."""
    old = {path: before.get(path) for path in step.after}
    if seen in (old, step.after):
        return True
    if not step.growing:
        return False
    return all((data or b"").startswith(old[path] or b"") for path, data in seen.items())
