"""The mutants of a source file: copies of it that differ in one comparison, constant, operator, branch or statement."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A file with `new` in place of its text `old` from byte `start` on, which is in this `line`."""

    path: str
    line: int
    start: int
    old: str
    new: str

    def __str__(self) -> str:
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.path}:{self.line}: {old} -> {new}"

    def of(self, source: str) -> str:
        """The mutated `source`."""
        text, old = source.encode(), self.old.encode()
        if text[self.start : self.start + len(old)] != old:
            raise ValueError(f"{self.path} does not hold {self.old!r} at byte {self.start}")
        return (text[: self.start] + self.new.encode() + text[self.start + len(old) :]).decode()


def mutants(path: str, source: str) -> list[Mutant]:
    """Every mutant of the file `path` that holds `source`, by place. Annotations, messages and text are left alone."""
    lines = source.encode().splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    found = []
    for node, new in _changes(ast.parse(source)):
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        found.append(Mutant(path, node.lineno, start, source.encode()[start:end].decode(), new))
    return sorted(found, key=lambda one: (one.start, one.new))


def _changes(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Each node at or under `node` that can be changed, and the text to put in its place."""
    if isinstance(node, ast.keyword) and node.arg == "strict":  # of zip: for what never happens
        return
    yield from ((node, new) for new in _instead(node))
    if isinstance(node, ast.If | ast.While) and isinstance(node.test, ast.Name | ast.Attribute | ast.Call):
        yield node.test, f"(not {ast.unparse(node.test)})"
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "exc", "msg", "decorator_list"):  # what is said, not done
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.JoinedStr):
                yield from _changes(child)


def _instead(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Compare(left, [op], [right]):
            yield _text(ast.Compare(left, [COMPARISONS[type(op)]()], [right]))
        case ast.BoolOp(op, values):
            yield _text(ast.BoolOp(OPERATORS[type(op)](), values))
        case ast.BinOp(left, op, right) if type(op) in OPERATORS and not any(map(_is_text, (left, right))):
            yield _text(ast.BinOp(left, OPERATORS[type(op)](), right))
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield _text(operand)
        case ast.Constant(bool(value)):
            yield str(not value)
        case ast.Constant(int(value) | float(value)):
            yield str(value + 1)
        case ast.IfExp(test, body, orelse):
            yield _text(ast.IfExp(test, orelse, body))
        case ast.Name(name, ast.Load()) if name in NAMES:
            yield NAMES[name]
        case ast.Expr(ast.Call()) | ast.Raise() | ast.AugAssign() | ast.Continue() | ast.Break() | ast.Delete():
            yield "pass"
        case ast.Assign([ast.Attribute() | ast.Subscript()]):
            yield "pass"


def _text(node: ast.expr) -> str:
    return f"({ast.unparse(node)})"


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
