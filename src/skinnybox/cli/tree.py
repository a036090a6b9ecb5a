"""Changes as a tree: folders with the totals of what is below, folded where there is much."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from skinnybox.cli import terminal
from skinnybox.fleet import present
from skinnybox.sizes import format_size

DEPTH = 3
_DEEPEST = 32
"""Folders in a path that are told apart: a guest may nest them by the thousand."""
_MOST = 10
"""Lines in a folder, the largest first."""
_MARKS = {True: ("├── ", "└── ", "│   "), False: ("|-- ", "`-- ", "|   ")}


@dataclass(slots=True)
class _Node:
    """One name, with all that is below it."""

    size: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    below: "dict[str, _Node]" = field(default_factory=dict)


def lines(changes: Iterable[present.Record], depth: int) -> Iterator[str]:
    """Nothing of what is folded is lost: it is in the totals."""
    root = _Node()
    for change in changes:
        _add(root, change)
    if root.kinds:
        yield f"/  {_totals(root)}"
        yield from _branches(root, depth, "")


def _add(root: _Node, change: present.Record) -> None:
    parts = [part for part in change["path"].split("/") if part]
    if len(parts) > _DEEPEST:
        parts = [*parts[:_DEEPEST], "/".join(parts[_DEEPEST:])]
    node = root
    for part in ["", *parts]:
        node = node.below.setdefault(part, _Node()) if part else node
        node.size += change["size"]
        node.kinds[change["change"]] += 1


def _branches(node: _Node, depth: int, before: str) -> Iterator[str]:
    branch, last, line = _MARKS[terminal.knows_unicode()]
    found = sorted(node.below.items(), key=lambda pair: (-pair[1].size, pair[0]))
    if depth < 1 or not found:
        return
    shown, rest = (found, []) if len(found) <= _MOST else (found[: _MOST - 1], found[_MOST - 1 :])
    for number, (name, below) in enumerate(shown, 1):
        ends = number == len(shown) and not rest
        whole, inner = _joined(name, below)
        yield f"{before}{last if ends else branch}{whole}{'/' if inner.below else ''}  {_totals(below)}"
        yield from _branches(inner, depth - 1, before + ("    " if ends else line))
    if rest:
        others = _Node(size=sum(n.size for _, n in rest), kinds=sum((n.kinds for _, n in rest), Counter()))
        yield f"{before}{last}and {len(rest)} more  {_totals(others)}"


def _joined(name: str, node: _Node) -> tuple[str, _Node]:
    """A folder with one thing in it is one line with that."""
    while len(node.below) == 1:
        [(inner, node)] = node.below.items()
        name = f"{name}/{inner}"
    return name, node


def _totals(node: _Node) -> str:
    said = ", ".join(f"{count} {kind}" for kind, count in sorted(node.kinds.items()))
    return f"{format_size(node.size)}, {said}" if node.size else said
