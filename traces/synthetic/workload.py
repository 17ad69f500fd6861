"""A synthetic trace: any arrival process with any lengths."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from traces.schema import check
from traces.synthetic.arrivals import Process
from traces.synthetic.lengths import Lengths
from traces.synthetic.parameters import check_positive

TRAINING_REQUESTS = 2000
TRAINING_SEED = 20230911


@dataclass(frozen=True)
class Synthetic:
    """`requests` independent requests at a mean of `rate` requests/s; answers are cut at `max_tokens` (None: not).

    `training_requests` rows for predictors are drawn apart, with `training_seed`.
    """

    rate: float
    requests: int
    arrivals: Process
    lengths: Lengths
    max_tokens: int | None = None
    training_requests: int = TRAINING_REQUESTS
    training_seed: int = TRAINING_SEED

    def __post_init__(self) -> None:
        check_positive(self, "rate", "requests", "training_requests")
        check_cap(self.max_tokens)

    @property
    def provenance(self) -> str:
        """One line that says that nothing here was measured."""
        return f"synthetic: {self.arrivals} at {self.rate:g} requests/s, {self.lengths}"

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """`arrivals` draws when requests come, `lengths` the rest; `attrs["cut"]` counts the answers cut."""
        instants = self.arrivals.instants(self.rate, self.requests, arrivals)
        return self._table(instants, lengths, training=False)

    def training(self) -> pd.DataFrame:
        """Rows of the same population, all at arrival 0."""
        return self._table(np.zeros(self.training_requests), np.random.default_rng(self.training_seed), training=True)

    def _table(self, instants: np.ndarray, lengths: np.random.Generator, training: bool) -> pd.DataFrame:
        prompts, outputs = self.lengths.draw(len(instants), lengths, training)
        table = pd.DataFrame({"arrival": instants, "prompt_tokens": prompts, "output_tokens": outputs})
        return drawn(capped(table, self.max_tokens), "synthetic")


def drawn(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """`table` as `traces.schema.check` leaves it; `attrs["read"]` is how many requests were drawn."""
    checked = check(table, source)
    checked.attrs["read"] = len(checked)
    return checked


def check_cap(max_tokens: int | None) -> None:
    """ValueError for a cap on answers that lets none through."""
    if max_tokens is not None and max_tokens < 1:
        raise ValueError(f"max_tokens must be at least 1, got {max_tokens}")


def capped(table: pd.DataFrame, max_tokens: int | None) -> pd.DataFrame:
    """`table` with its answers cut at `max_tokens`, and `attrs["cut"]`, how many were."""
    if max_tokens is None:
        return table
    outputs = table["output_tokens"]
    table = table.assign(output_tokens=outputs.clip(upper=max_tokens), max_tokens=max_tokens)
    table.attrs["cut"] = int((outputs > max_tokens).sum())
    return table
