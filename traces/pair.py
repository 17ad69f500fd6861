"""Replay what a large model answered and what a small one would have said (`tokenyard trace pair` makes such a file).

The file holds ids, counts and figures of each token, no text: a row an answer, and of each small model, an early exit
after so many layers, aligned or not, three lists with an entry an output token.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from traces.formats.parquet import read_table, write_table
from traces.schema import TraceError, check
from traces.split import none_kept
from traces.synthetic.arrivals import poisson

SHIPPED = Path(__file__).parent / "data" / "smollm2-135m_exits.parquet"
COUNTS = ("message_id", "prompt_tokens", "output_tokens", "finish_reason")
DIGITS = (3, 2)  # that are kept of a confidence, and of a divergence (nats)


def columns_of(small: str) -> tuple[str, str, str]:
    """The columns of the small model `small`: confidence, divergence (nats), agrees."""
    return f"confidence_{small}", f"divergence_{small}", f"agrees_{small}"


def write_pair(answers: pd.DataFrame, path: Path, provenance: dict[str, Any]) -> None:
    """Write a recording, its figures rounded; `provenance` must state its `exits` and `max_tokens`."""
    table = answers[list(COUNTS)].copy()
    for small in provenance["exits"]:
        confidence, divergence, agrees = columns_of(small)
        for name, digits in zip((confidence, divergence), DIGITS, strict=True):
            table[name] = [np.round(np.array(cells), digits).astype(np.float32) for cells in answers[name]]
        table[agrees] = [np.array(cells, dtype=bool) for cells in answers[agrees]]
    write_table(table, path, "pair", provenance)


def read_pair(path: Path, small: str) -> pd.DataFrame:
    """The recorded answers with the `proposals` of the small model `small`; TraceError if there is no such."""
    recorded = read_table(path, "pair")
    made = recorded.attrs["provenance"]
    if small not in made["exits"]:
        raise TraceError(f"{path}: its small models are {', '.join(made['exits'])}, got {small!r}")
    proposals = [
        [[round(float(sure), DIGITS[0]), round(float(apart), DIGITS[1]), bool(same)] for sure, apart, same in cells]
        for cells in (zip(*row, strict=True) for row in recorded[list(columns_of(small))].itertuples(index=False))
    ]
    bare = recorded[["message_id", "prompt_tokens", "output_tokens"]]
    table = check(bare.assign(arrival=0.0, max_tokens=made["max_tokens"], proposals=proposals), str(path))
    table.attrs["provenance"] = made
    return table


@dataclass(frozen=True)
class Pair:
    """Recorded answers, arriving as a Poisson process of `rate` requests/s, with what a small model says at each token.

    The small model is the exit after so many `layers`, as it is or `aligned`. `requests` None replays each answer once,
    in random order; more than there are, and they are drawn with replacement (a bootstrap). `path` None is the
    recording that ships.
    """

    rate: float
    layers: int
    aligned: bool
    requests: int | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.rate < np.inf:
            raise ValueError(f"rate must be a positive number of requests/s, got {self.rate}")
        if self.requests is not None and self.requests < 1:
            raise ValueError(f"requests must be at least 1, got {self.requests}")

    @property
    def provenance(self) -> str:
        """One line: which models said what, and which part of this is synthetic."""
        made, aligned = self._recording.attrs["provenance"], " (aligned)" if self.aligned else ""
        return (
            f"recorded: {made['model']} ({made['weights']} weights, {made['decoding']}) on chitchat messages, answers "
            f"cut at {made['max_tokens']} tokens, beside its own first {self.layers} layers{aligned}, "
            f"{made['processor']}, {made['date']}; Poisson arrivals, synthetic"
        )

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """`lengths` draws which answers come, in which order; `arrivals` draws when."""
        pool = self._recording
        requests = len(pool) if self.requests is None else self.requests
        if requests > len(pool):
            chosen = lengths.integers(len(pool), size=requests)
        else:
            chosen = lengths.permutation(len(pool))[:requests]
        rows = pool.iloc[chosen].reset_index(drop=True)
        table = check(rows.assign(arrival=poisson(self.rate, requests, arrivals)), self._file.name)
        table.attrs["read"] = len(pool)
        return table

    def training(self) -> pd.DataFrame:
        """None is kept: all of them are replayed."""
        raise none_kept(str(self._file))

    @property
    def _file(self) -> Path:
        return SHIPPED if self.path is None else Path(self.path)

    @cached_property
    def _recording(self) -> pd.DataFrame:
        return read_pair(self._file, f"{self.layers}_aligned" if self.aligned else f"{self.layers}")
