"""What the source of a module says of its code and its imports, kept between processes under the sources' digests."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from experiments.identity.syntax import DOTTED, called, nodes, plain, texts_in

MOST = 5000  # sources that are kept


class Facts(NamedTuple):
    """The digest of a source's code, its package, and what it imports: `names`, and of the packages `stars` all.

    `calls` that import say a name, or the package (true) in which that is, empty where neither can be told; with such,
    `spoken` are the names in its texts.
    """

    digest: str
    package: str
    names: tuple[str, ...] = ()
    stars: tuple[str, ...] = ()
    calls: tuple[tuple[str, bool], ...] = ()
    spoken: tuple[str, ...] = ()


NONE = Facts(hashlib.sha256(b"").hexdigest()[:16], "")
_new: dict[str, Facts] = {}


def of(path: Path, package: str) -> Facts:
    """The facts of the source at `path`, a module of `package`; ValueError for one that is no Python."""
    source = path.read_bytes()
    key = hashlib.sha256(b"\0".join((package.encode(), _maker(), source))).hexdigest()
    if key in _kept() and (facts := _read_back(_kept()[key])):
        return facts
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}") from error
    _new[key] = found = _read(tree, package)
    return found


def _read_back(kept: Any) -> Facts | None:
    """The facts that were written as `kept`; None where the file holds something else, which is then found anew."""
    with suppress(TypeError, ValueError):
        digest, package, names, stars, calls, spoken = kept
        texts = (digest, package, *names, *stars, *spoken, *(one for one, _ in calls))
        if all(isinstance(text, str) for text in texts):
            pairs = tuple((one, bool(within)) for one, within in calls)
            return Facts(digest, package, tuple(names), tuple(stars), pairs, tuple(spoken))
    return None


def keep() -> None:
    """Write what is new among the facts, if that can be written; nothing but time hangs on it."""
    if not _new:
        return
    known = {**_kept(), **_new}
    _new.clear()
    place = _place()
    temporary = place.with_name(f".{place.name}.{os.getpid()}")
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(dict(list(known.items())[-MOST:])), encoding="utf-8")
        temporary.replace(place)
    _kept.cache_clear()


def _read(tree: ast.Module, package: str) -> Facts:
    names: set[str] = set()
    stars: set[str] = set()
    calls: set[tuple[str, bool]] = set()
    for node in nodes(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
            stars |= {base for alias in node.names if alias.name == "*"}
        elif isinstance(node, ast.Call) and called(node) in ("import_module", "__import__") and node.args:
            calls.add(_named(node.args[0], package))
    spoken = {text.rstrip(".") for text in texts_in(tree) if "." in text and DOTTED.fullmatch(text)} if calls else set()
    digest = hashlib.sha256(repr(plain(tree)).encode()).hexdigest()[:16]
    return Facts(digest, package, *map(_sorted, (names, stars, calls, spoken)))  # type: ignore[arg-type]


def _sorted(found: set[object]) -> tuple[object, ...]:
    return tuple(sorted(found))  # type: ignore[type-var]


def _named(argument: ast.expr, package: str) -> tuple[str, bool]:
    """What an import by `argument` may be of: the module that it spells, or all in the package that it begins with."""
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return f"{package}{argument.value}" if argument.value.startswith(".") else argument.value, False
    if isinstance(argument, ast.BinOp):
        argument = argument.left
    elif isinstance(argument, ast.JoinedStr) and argument.values:
        argument = argument.values[0]
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and "." in argument.value:
        start = argument.value
        return f"{package}{start}".rpartition(".")[0] if start.startswith(".") else start.rpartition(".")[0], True
    return "", True


def _place() -> Path:
    """The file of all facts, in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tokenyard" / "code.json"


@cache
def _maker() -> bytes:
    """What finds the facts: other code may find others, and another Python's syntax trees may differ."""
    here = Path(__file__)
    sources = b"".join(file.read_bytes() for file in (here, here.with_name("syntax.py")))
    return hashlib.sha256(sources + sys.version.encode()).digest()


@cache
def _kept() -> dict[str, list[Any]]:
    with suppress(OSError, ValueError):
        kept = json.loads(_place().read_text(encoding="utf-8"))
        if isinstance(kept, dict):
            return kept
    return {}
