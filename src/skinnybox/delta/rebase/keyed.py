"""The files of accounts, merged by name: two that add a line at one place, as all do, are no dispute.

Passwords are the machine's as soon as it altered anything about them: each build of a master has other dates
there, and nobody means those.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from skinnybox.delta.rebase.accounts import Numbers, Ownership
from skinnybox.delta.rebase.facts import Won, won
from skinnybox.delta.rebase.values import Decision, Fate, Standing, Subject
from skinnybox.masters.accounts import name_of, number

_MOST = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """Of one file: what its lines have, field by field. `users` and `groups` are the columns of numbers,
    `members` those of names by commas. Without `fields` a line is one whole."""

    path: str
    subject: Subject
    count: int
    fields: tuple[str, ...] = ()
    users: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    members: tuple[int, ...] = ()


PASSWD = Form(
    path="etc/passwd", subject=Subject.USER, count=7, users=(2,), groups=(3,),
    fields=("name", "password", "number", "group", "comment", "home", "shell"),
)  # fmt: skip
GROUP = Form(
    path="etc/group", subject=Subject.GROUP, count=4, groups=(2,), members=(3,),
    fields=("name", "password", "number", "members"),
)  # fmt: skip
SHADOW = Form(path="etc/shadow", subject=Subject.USER, count=9)
GSHADOW = Form(path="etc/gshadow", subject=Subject.GROUP, count=4)
FORMS = (PASSWD, GROUP, SHADOW, GSHADOW)
Line = tuple[str, ...]


def merged(
    form: Form, old: bytes, new: bytes, machine: bytes, owners: Ownership, machine_wins: bool = True
) -> tuple[bytes, list[Decision]]:
    """The whole file, in the machine's order, the new ones behind; and what is in dispute, which is as
    `machine_wins` says. What is no line of the form stays as the machine has it."""
    before = {name: _renumbered(form, line, owners) for name, line in _lines(form, old).items()}
    after = _lines(form, new)
    out: list[bytes] = []
    told: list[Decision] = []
    seen: set[str] = set()
    for raw in machine.split(b"\n", _MOST):
        line = _parsed(form, raw)
        if line is None:
            out.append(raw)
            continue
        if line[0] in seen:  # of two with one name the first counts, but by its number the second is found
            out.append(_joined(_renumbered(form, line, owners)))
            continue
        seen.add(line[0])
        mine = _renumbered(form, line, owners)
        other, disputed = _of_all(form, mine, before.get(line[0]), after.get(line[0]), machine_wins)
        told += [_disputed(form, line[0], word) for word in disputed]
        out.append(_joined(other))
    more = [_joined(line) for name, line in after.items() if name not in seen and name not in before]
    ended = out[:-1] if out and not out[-1] else out
    return b"".join(line + b"\n" for line in [*ended, *more]), told


def _joined(line: Line) -> bytes:
    return ":".join(line).encode("utf-8", "surrogateescape")


def _of_all(
    form: Form, mine: Line, old: Line | None, new: Line | None, machine_wins: bool
) -> tuple[Line, list[str]]:
    if new is None:
        return mine, []
    if not form.fields:
        return (new if old == mine else mine), []
    found, disputed = [], []
    for column, word in enumerate(form.fields):
        if word == "number":
            found.append(new[column])
        elif column in form.members:
            found.append(_united(mine[column], old[column] if old else "", new[column]))
        elif old is None:
            found.append(mine[column])
        else:
            who = won(mine[column], old[column], new[column])
            disputed += [word] if who is Won.NOBODY else []
            theirs = who is Won.MASTER or (who is Won.NOBODY and not machine_wins)
            found.append(new[column] if theirs else mine[column])
    return tuple(found), disputed


def _united(machine: str, old: str, new: str) -> str:
    """Who was put in by either, without who was taken out by either."""
    mine, before, after = (tuple(filter(None, text.split(","))) for text in (machine, old, new))
    kept = [name for name in mine if name in after or name not in before]
    return ",".join([*kept, *(name for name in after if name not in mine and name not in before)])


def _lines(form: Form, text: bytes) -> dict[str, Line]:
    """By name; of two with one name the first counts."""
    found: dict[str, Line] = {}
    for raw in text.split(b"\n", _MOST)[:_MOST]:
        line = _parsed(form, raw)
        if line is not None:
            found.setdefault(line[0], line)
    return found


def _parsed(form: Form, raw: bytes) -> Line | None:
    fields = raw.decode("utf-8", "surrogateescape").split(":")
    if len(fields) != form.count or name_of(raw) is None:
        return None
    numbers = (number(fields[column]) for column in (*form.users, *form.groups))
    return None if None in numbers else tuple(fields)


def _renumbered(form: Form, line: Line, owners: Ownership) -> Line:
    """Also the group of a user who is the machine's own."""
    columns: Mapping[int, Numbers] = {
        **dict.fromkeys(form.users, owners.users),
        **dict.fromkeys(form.groups, owners.groups),
    }
    return tuple(
        str(columns[column].of(int(text))) if column in columns else text for column, text in enumerate(line)
    )


def _disputed(form: Form, name: str, word: str) -> Decision:
    return Decision(
        subject=form.subject,
        kind="modify/modify",
        fate=Fate.ASK,
        name=name,
        detail=f"/{form.path}: its {word} is another in the machine, and in the new master as well",
        standing=Standing.CONFLICT,
    )


def decisions(
    form: Form, old: bytes, new: bytes, machine: bytes, owners: Ownership, by_policy: Fate
) -> Iterator[Decision]:
    """What is in dispute, by who wins: KEEP, TAKE, or ASK."""
    for each in merged(form, old, new, machine, owners)[1]:
        if by_policy is Fate.ASK:
            yield each
        else:
            yield Decision(
                subject=each.subject, kind=each.kind, fate=by_policy, name=each.name, detail=each.detail
            )
