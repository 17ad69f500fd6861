"""Sources made of sources: one that operations change, several mixed, the texts of one at the arrivals of another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from traces.operations import COUNTED, Operation, apart, ids_used, joined, kept, moved
from traces.schema import check


class Source(Protocol):
    """A trace to replay, with rows to train predictors on that are never replayed."""

    @property
    def provenance(self) -> str:
        """One line: where the rows come from."""
        ...

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """`arrivals` draws when requests come, `lengths` the rest. `attrs["read"]` is how many requests there were to
        choose from: rows of a file, recorded answers, or requests drawn."""
        ...

    def training(self) -> pd.DataFrame:
        """The rows that are never replayed."""
        ...


@dataclass(frozen=True)
class Transformed:
    """`source` with its replay changed by `operations` (of `traces.operations`), one after another."""

    source: Source
    operations: Sequence[Operation]

    @property
    def provenance(self) -> str:
        """The source's, and what was done to it."""
        return "; then ".join([self.source.provenance, *map(str, self.operations)])

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """As in `Source`; the operations draw from a stream of their own."""
        (rng,) = arrivals.spawn(1)
        table = self.source.replay(arrivals, lengths)
        read = table.attrs.get("read", len(table))
        for operation in self.operations:
            table = operation(table, rng)
        table.attrs["read"] = read
        return check(table, "transformed trace")

    def training(self) -> pd.DataFrame:
        """The source's, unchanged."""
        return self.source.training()


@dataclass(frozen=True)
class Mixed:
    """Several named sources at a time: of each, the share `weights[name]` of its requests, or of whole sessions."""

    sources: Mapping[str, Source]
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        if set(self.sources) != set(self.weights) or len(self.sources) < 2:
            raise ValueError(
                f"weights must be of the same two or more names as sources, got {list(self.weights)} for "
                f"{list(self.sources)}"
            )
        if not all(0 < weight <= 1 for weight in self.weights.values()):
            raise ValueError(f"weights must be above 0 and at most 1, got {dict(self.weights)}")

    @property
    def provenance(self) -> str:
        """Those of the sources, with their weights."""
        parts = [f"{weight:g} of {name} ({self.sources[name].provenance})" for name, weight in self.weights.items()]
        return f"synthetic mix: {', '.join(parts)}"

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """As in `Source`, each source drawing from streams of its own."""
        *streams, rng = arrivals.spawn(len(self.sources) + 1)
        drawn = zip(self.sources.items(), streams, lengths.spawn(len(self.sources)), strict=True)
        return mix({name: source.replay(when, rest) for (name, source), when, rest in drawn}, self.weights, rng)

    def training(self) -> pd.DataFrame:
        """The training rows of all, those of a source as often as its weight has it."""
        tables = {name: source.training() for name, source in self.sources.items()}
        return mix(tables, self.weights, np.random.default_rng(0))


@dataclass(frozen=True)
class Paired:
    """Synthetic pairing: texts and lengths of the source `texts` at the arrivals of the source `arrivals`."""

    texts: Source
    arrivals: Source
    with_replacement: bool = False

    @property
    def provenance(self) -> str:
        """Both sources', and that they never met."""
        return f"synthetic pairing: texts and lengths ({self.texts.provenance}), arrivals ({self.arrivals.provenance})"

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """As in `Source`."""
        (rng,) = lengths.spawn(1)
        texts = self.texts.replay(*lengths.spawn(2))
        instants = self.arrivals.replay(arrivals, lengths)
        table = pair_text(texts, instants, rng, self.with_replacement)
        table.attrs["read"] = instants.attrs.get("read", len(instants))
        table.attrs["skipped"] = _skipped([texts.attrs, instants.attrs])
        return table

    def training(self) -> pd.DataFrame:
        """That of the texts."""
        return self.texts.training()


def mix(tables: Mapping[str, pd.DataFrame], weights: Mapping[str, float], rng: np.random.Generator) -> pd.DataFrame:
    """The requests of all `tables` by their arrivals, each thinned to its weight, whole sessions where it has them.

    Clients, sessions and request ids of different tables are kept apart by the tables' names, contents by their ids. A
    column that one table lacks and that has no empty value is left out, and named in `attrs["dropped"]`.
    """
    columns = {name for table in tables.values() for name in table}
    everywhere = set.intersection(*(set(table) for table in tables.values()))
    chosen = columns & (everywhere | set(_empty("", 0)))
    parts, first_id = [], 0
    for name, table in tables.items():
        unit = table["session"] if "session" in table else pd.Series(range(len(table)))
        number, units = pd.factorize(unit)
        rows = kept(table, (rng.random(len(units)) < weights[name])[number])
        rows = apart(rows, prefix=f"{name}/", first_id=first_id)
        empty = {column: value for column, value in _empty(name, len(rows)).items() if column not in rows}
        parts.append(rows.assign(**empty)[sorted(chosen)])
        first_id += ids_used(rows)
    mixed = joined(parts)
    mixed.attrs = _added([part.attrs for part in parts])
    mixed.attrs["dropped"] = sorted(columns - chosen)
    return check(mixed, "mixed trace")


def pair_text(
    texts: pd.DataFrame, arrivals: pd.DataFrame, rng: np.random.Generator, with_replacement: bool
) -> pd.DataFrame:
    """Rows of `texts`, drawn in random order, at the instants of `arrivals`; synthetic, for the two never met.

    Without replacement `texts` must be no fewer than `arrivals`. Sessions, think times and request ids go, for they
    do not outlive another order; a deadline keeps its distance from the arrival.
    """
    if not with_replacement and len(texts) < len(arrivals):
        raise ValueError(f"{len(texts)} texts are too few for {len(arrivals)} arrivals without replacement")
    drawn = rng.choice(len(texts), len(arrivals), replace=with_replacement)
    lost = [name for name in ("session", "think", "request_id") if name in texts]
    rows = texts.drop(columns=lost).iloc[drawn].reset_index(drop=True)
    return check(moved(rows, arrivals["arrival"].to_numpy()), "synthetic pairing")


def _empty(name: str, count: int) -> dict[str, Any]:
    """What stands in the columns that the table `name` lacks and another has."""
    return {
        "client": name,
        "task": name,
        "session": [f"{name}/{row}" for row in range(count)],
        "request_id": [f"{name}/{row}" for row in range(count)],
        "prompt_ids": [[]] * count,
        "id_tokens": 1,
        "pauses": [[]] * count,
        "proposals": [[]] * count,
        "samples": [[]] * count,
        "priority": 0.0,
        "deadline": np.nan,
        "think": np.nan,
    }


def _added(attrs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The sums of what was counted."""
    found = [(name, one[name]) for one in attrs for name in (*COUNTED, "read") if isinstance(one.get(name), int)]
    sums = {name: sum(value for other, value in found if other == name) for name, _ in found}
    return {**sums, "skipped": _skipped(attrs)}


def _skipped(attrs: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """By reason, the bad rows that were left out."""
    return dict(sum((Counter(one.get("skipped", {})) for one in attrs), Counter[str]()))
