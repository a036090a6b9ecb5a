"""Small changes to a source file, of the kinds that people make by mistake, each one piece of text replaced.

Left alone are docstrings, annotations, imports and sentences: what a message says is no logic. Positions come
from `ast`, in bytes of UTF-8; whoever applies a mutant checks that the result still compiles.
"""

import ast
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_COMPARED: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"), ast.NotIn: ("not in", "in"),
}  # fmt: skip
_COUNTED: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "+"), ast.FloorDiv: ("//", "*"),
    ast.Div: ("/", "*"), ast.Mod: ("%", "+"), ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"),
    ast.LShift: ("<<", ">>"), ast.RShift: (">>", "<<"),
}  # fmt: skip
_WORD = re.compile(r"[^\s{}%]{1,40}")
_DROPPED = (ast.AugAssign, ast.Delete, ast.Raise, ast.Continue, ast.Break)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """`source[start:end]` becomes `new`; `line` is that of `start`, from 1."""

    line: int
    start: int
    end: int
    new: bytes
    what: str

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.new + source[self.end :]

    def compiles(self, source: bytes) -> bool:
        try:
            compile(self.applied(source), "mutant", "exec")
        except (SyntaxError, ValueError):
            return False
        return True


def mutants(source: bytes) -> list[Mutant]:
    """All of them, in the order of the text."""
    text = _Text(source)
    found = {mutant for node in _logic(ast.parse(source)) for mutant in _of(node, text)}
    return sorted(found, key=lambda mutant: (mutant.start, mutant.end, mutant.new, mutant.what))


class _Text:
    def __init__(self, source: bytes) -> None:
        self._source = source
        self._lines = [0, *itertools.accumulate(len(line) for line in source.splitlines(keepends=True))]

    def start(self, node: ast.expr | ast.stmt | ast.keyword) -> int:
        return self._lines[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt | ast.keyword) -> int:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return self._lines[node.end_lineno - 1] + node.end_col_offset

    def mutant(self, start: int, end: int, new: str, what: str) -> Mutant:
        line = self._source.count(b"\n", 0, start) + 1
        return Mutant(line=line, start=start, end=end, new=new.encode(), what=what)

    def replaced(self, start: int, end: int, old: str, new: str) -> Iterator[Mutant]:
        """The first `old` between two operands; there may be parentheses and comments beside it."""
        if (at := self._source.find(old.encode(), start, end)) >= 0:
            yield self.mutant(at, at + len(old.encode()), new, f"{old} -> {new}")

    def of(self, node: ast.expr | ast.stmt) -> str:
        return self._source[self.start(node) : self.end(node)].decode()


def _logic(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that decides something."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_comment"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, (ast.Import, ast.ImportFrom, ast.JoinedStr)) or _is_text(child):
                continue  # positions within f-strings are not to be had before Python 3.12
            if isinstance(child, ast.AST):
                yield from _logic(child)


def _is_text(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _of(node: ast.AST, text: _Text) -> Iterator[Mutant]:
    match node:
        case ast.Compare():
            operands = [node.left, *node.comparators]
            for left, right, operator in zip(operands, operands[1:], node.ops, strict=False):
                yield from text.replaced(text.end(left), text.start(right), *_COMPARED[type(operator)])
        case ast.BoolOp():
            words = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            for left, right in itertools.pairwise(node.values):
                yield from text.replaced(text.end(left), text.start(right), *words)
        case ast.BinOp() if type(node.op) in _COUNTED:
            yield from text.replaced(text.end(node.left), text.start(node.right), *_COUNTED[type(node.op)])
        case ast.UnaryOp(op=ast.Not()):
            yield text.mutant(text.start(node), text.start(node.operand), "", "not dropped")
        case ast.If() | ast.While() | ast.IfExp() if not isinstance(node.test, (ast.Compare, ast.UnaryOp)):
            yield _whole(node.test, f"(not ({text.of(node.test)}))", "condition turned round", text)
        case ast.Constant():
            yield from _constant(node, text)
        case ast.List() | ast.Tuple() | ast.Set() if isinstance(getattr(node, "ctx", None), ast.Load | None):
            yield from _one_less(node.elts, text)
        case ast.Call():
            yield from _one_less([*node.args, *node.keywords], text, drop=len(node.args))
        case ast.stmt():
            yield from _statement(node, text)


def _constant(node: ast.Constant, text: _Text) -> Iterator[Mutant]:
    match node.value:
        case bool() as value:
            yield _whole(node, str(not value), f"{value} -> {not value}", text)
        case int() as value:
            yield _whole(node, repr(value + 1), f"{value} -> {value + 1}", text)
        case float() as value:  # a time, mostly: of which nobody notices a second more
            yield _whole(node, repr(0.0 if value else 1.0), f"{value} -> {0.0 if value else 1.0}", text)
        case str() as value if _WORD.fullmatch(value):
            yield _whole(node, repr(f"{value}x"), f"another word for {value!r}", text)
        case bytes() as value if value:
            yield _whole(node, repr(value + b"x"), f"another word for {value!r}", text)


def _statement(node: ast.stmt, text: _Text) -> Iterator[Mutant]:
    match node:
        case ast.Return(value=ast.expr() as value) if text.of(value) != "None":
            yield _whole(node, "return None", "returns None", text)
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) | ast.Expr(value=ast.Call()):
            yield _whole(node, "pass", "statement dropped", text)
        case ast.With(items=items) if all(item.optional_vars is None for item in items):
            # Locks, transactions, and errors that are let pass.
            end = text.start(node.body[0])
            head = text.of(node)[: end - text.start(node)]
            after = len(head[: head.rindex(":")].encode())
            yield text.mutant(text.start(node), text.start(node) + after, "if True", "with dropped")
        case _ if isinstance(node, _DROPPED):
            yield _whole(node, "pass", "statement dropped", text)


def _one_less(parts: Sequence[ast.expr | ast.keyword], text: _Text, drop: int = 0) -> Iterable[Mutant]:
    """Without one of several elements; of a call's arguments, only without those that are named."""
    for number in range(drop, len(parts)):
        start, end = text.start(parts[number]), text.end(parts[number])
        if number + 1 < len(parts):
            end = text.start(parts[number + 1])
        elif number:
            start = text.end(parts[number - 1])
        elif not drop and len(parts) == 1 and isinstance(parts[0], ast.expr):
            continue
        yield text.mutant(start, end, "", "element dropped")


def _whole(node: ast.expr | ast.stmt, new: str, what: str, text: _Text) -> Mutant:
    return text.mutant(text.start(node), text.end(node), new, what)
