"""How many senses a word has as each part of speech: WordNet 3.0's count, in a table that ships (`data/senses.md`)."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

SHIPPED = Path(__file__).parent / "data" / "senses.tsv.gz"


@cache
def _table() -> dict[str, dict[str, tuple[int, int]]]:
    """Word -> lexicographer file -> (senses, uses)."""
    found = {}
    for line in gzip.decompress(SHIPPED.read_bytes()).decode().splitlines():
        word, *fields = line.split("\t")
        counts = map(int, fields[1::3]), map(int, fields[2::3])
        found[word] = dict(zip(fields[::3], zip(*counts, strict=True), strict=True))
    return found


def by_file(lemma: str) -> dict[str, tuple[int, int]]:
    """Lexicographer file (`noun.animal`, `verb.motion`) -> (senses, uses) of `lemma` there.

    A use is one place where WordNet's concordances tag such a sense. Empty for a word of one sense, of one or two
    letters, a name, a compound, and a word that is not in WordNet.
    """
    return _table().get(lemma, {})


def senses(lemma: str, part: str) -> int:
    """How many senses `lemma` has as a `part` (noun, verb, adj, adv); 0 also for a word of one sense in all."""
    return sum(count for file, (count, _) in by_file(lemma).items() if file.startswith(f"{part}."))


def uses(lemma: str, part: str) -> int:
    """How often WordNet's concordances have `lemma` as a `part`."""
    return sum(count for file, (_, count) in by_file(lemma).items() if file.startswith(f"{part}."))
