"""/etc/passwd and the files that go with it, and what their programs keep of the version before."""

from collections.abc import Iterator

from skinnybox.delta.rebase import keyed, subordinate
from skinnybox.delta.rebase.accounts import Numbers
from skinnybox.delta.rebase.records.sides import Made, Sides, Three, made_of
from skinnybox.errors import Corrupt
from skinnybox.masters.accounts import MOST_BYTES, MOST_LINES, number


def made(sides: Sides) -> Iterator[Made]:
    for form in keyed.FORMS:
        for path in (form.path, f"{form.path}-"):
            yield accounts(path, form, sides)
    for file, numbers in (("etc/subuid", sides.ownership.users), ("etc/subgid", sides.ownership.groups)):
        for path in (file, f"{file}-"):
            yield _ranges(path, file, numbers, sides)


def accounts(path: str, form: keyed.Form, sides: Sides) -> Made:
    """A backup is made against the files and not against their backups: who puts it back is to have all of
    the new master's accounts, and its numbers."""
    old, new, _ = _three(form.path, sides)
    _, behind, machine = _three(path, sides)
    if machine is None:
        return made_of(path, behind, None if path == form.path else behind)
    if path != form.path and sides.machine.untouched(path) and sides.machine.untouched(form.path):
        return Made(path=path)
    found, _ = keyed.merged(
        form, old or b"", new or b"", machine, sides.ownership, sides.machine_wins(form.path)
    )
    return _made(path, behind, found)


def _made(path: str, new: bytes | None, found: bytes) -> Made:
    """In which order they stand is no matter."""
    same = new is not None and sorted(found.split(b"\n")) == sorted(new.split(b"\n"))
    return Made(path=path) if same else made_of(path, new, found)


def _ranges(path: str, file: str, numbers: Numbers, sides: Sides) -> Made:
    old, new, _ = _three(file, sides)
    _, behind, machine = _three(path, sides)
    if machine is None:
        return made_of(path, behind, None if path == file else behind)
    if path != file and sides.machine.untouched(path) and sides.machine.untouched(file):
        return Made(path=path)
    before, after, mine = map(subordinate.ranges, (old or b"", new or b"", machine))
    more = subordinate.merged(before, after, mine)[len(mine) :]
    lines = [_owned(line, numbers) for line in machine.split(b"\n")]
    ended = lines[:-1] if not lines[-1] else lines
    added = [f"{each.name}:{each.start}:{each.count}".encode("utf-8", "surrogateescape") for each in more]
    return _made(path, behind, b"".join(line + b"\n" for line in [*ended, *added]))


def _owned(line: bytes, numbers: Numbers) -> bytes:
    """Some write the number of who has the range, and not the name."""
    owner, colon, rest = line.partition(b":")
    found = number(owner.decode("ascii", "replace"))
    return line if found is None else str(numbers.of(found)).encode() + colon + rest


def _three(path: str, sides: Sides) -> Three:
    three = sides.texts(path, MOST_BYTES)
    if three.machine is not None and three.machine.count(b"\n") > MOST_LINES:
        raise Corrupt(f"/{path} has more than {MOST_LINES} lines")
    return three
