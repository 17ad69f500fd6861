"""A case of the fuzzer: a made file, spoilt by one to three mutations, all drawn from one seed."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pyarrow as pa

from tests.tracefuzz.cells import ROWS
from tests.tracefuzz.columns import COLUMNS, STORED
from tests.tracefuzz.formats import Format
from tests.tracefuzz.sheet import Columns, Inapplicable, Sheet
from tests.tracefuzz.streams import BYTES, LINES, PLAIN, ZIPPED

# another mutation took what this one spoils, or cells do not fit the arrow type that it drew
PREY_IS_GONE = (
    Inapplicable,
    IndexError,
    ValueError,
    TypeError,
    OverflowError,
    EOFError,
    OSError,
    zlib.error,
    pa.ArrowException,
)


@dataclass(frozen=True)
class Case:
    """The file `name` of these bytes, its bytes before it was spoilt, and the mutations' names."""

    format: Format
    name: str
    base: bytes
    content: bytes
    mutations: tuple[str, ...]


def draw(form: Format, rng: Random) -> Case:
    """A case; mutations that find nothing to spoil are drawn again."""
    wanted = rng.choice((1, 1, 2, 3))
    name, seed = "made" + rng.choice(form.suffixes), rng.random()
    made = form.make(Random(seed))
    base = _packed(made.content(), name)
    kinds = [kind for phase in phases(made, name) for kind in phase]
    while True:
        chosen = sorted(rng.sample(kinds, wanted), key=kinds.index)
        try:
            return Case(form, name, base, spoilt(form.make(Random(seed)), name, chosen, rng), tuple(chosen))
        except PREY_IS_GONE:
            continue


def phases(made: Sheet | Columns, name: str) -> list[dict[str, Callable[..., Any]]]:
    """The mutations of such a file by what they are given: made parts, then lines, then bytes, then packed bytes."""
    if isinstance(made, Columns):
        return [COLUMNS, {}, STORED, {}]
    return [ROWS, LINES, BYTES, ZIPPED if name.endswith(".gz") else PLAIN]


def spoilt(made: Sheet | Columns, name: str, chosen: list[str], rng: Random) -> bytes:
    """The bytes of the file after the mutations `chosen`; one of PREY_IS_GONE where one has nothing to spoil."""
    of_parts, of_lines, of_bytes, of_packed = (
        [phase[kind] for kind in chosen if kind in phase] for phase in phases(made, name)
    )
    for mutate in of_parts:
        mutate(made, rng)
    if isinstance(made, Columns):
        content = made.content()
    else:
        lines = made.lines()
        for mutate in of_lines:
            lines = mutate(lines, rng)
        content = ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")
    for mutate in of_bytes:
        content = mutate(content, rng)
    content = _packed(content, name)
    for mutate in of_packed:
        content = mutate(content, rng)
    return content


def _packed(content: bytes, name: str) -> bytes:
    return gzip.compress(content, mtime=0) if name.endswith(".gz") else content
