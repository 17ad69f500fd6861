"""Requests of a stored trace drawn with replacement, as the benchmarks of INFERCEPT and LAMPS draw theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from traces.calls import context, ended, returned
from traces.locate import public_file
from traces.operations import kept
from traces.schema import LONGEST, TraceError, check
from traces.split import check_kept, in_training, none_kept
from traces.synthetic.parameters import check_positive

DRAWN_AT_ONCE = 1024  # gaps


@dataclass(frozen=True)
class Sampled:
    """Rows of the file `path`, drawn with replacement, at a Poisson process of `rate` requests/s.

    The file, found by `traces.locate.public_file`, is read by `load`; `origin` describes it in a few words. So many
    `requests`, and those alone that arrive within `seconds` (None: no such bound; one of both is needed). The first
    `burst` (None: int(rate) + 1) arrive at 0, the others when the process has them: so the benchmark of InferCept and
    MARS does it (`final_tput_bench_real.py`). Of `tasks` alone, if any are named.

    An answer ends where prompt, answer and what its calls return are `max_context` tokens (None: never), as vLLM ends
    it; `attrs["cut"]` counts those. A request's `max_tokens` is what its cap on its own and returned tokens was there:
    their number, at most `max_tokens` (None: no cap is known). Rows in a `training_share` of the file, by the hash of
    their request id, are never replayed.
    """

    path: str
    load: Callable[..., pd.DataFrame]
    origin: str
    rate: float
    seconds: float | None = None
    requests: int | None = None
    burst: int | None = None
    tasks: Sequence[str] | None = None
    max_context: int | None = None
    max_tokens: int | None = None
    training_share: float | None = None
    skip_bad: bool = False

    def __post_init__(self) -> None:
        check_kept(self.training_share)
        check_positive(self, "rate")
        bounds = [name for name in ("seconds", "requests") if getattr(self, name) is not None]
        if not bounds:
            raise ValueError("requests, seconds or both must be given, got null for both")
        check_positive(
            self, *bounds, *(name for name in ("max_context", "max_tokens") if getattr(self, name) is not None)
        )
        if self.burst is not None and self.burst < 0:
            raise ValueError(f"burst must not be negative, got {self.burst}")

    @property
    def provenance(self) -> str:
        """One line: what is recorded here, and what is not."""
        of = f" of {', '.join(self.tasks)}" if self.tasks else ""
        return (
            f"{self.origin} ({Path(self.path).name}){of}, drawn with replacement; Poisson arrivals at {self.rate:g} "
            f"requests/s, the first {self._burst} at once, synthetic"
        )

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """`arrivals` draws when requests come, `lengths` which."""
        instants = self._instants(arrivals)
        pool = self._part(training=False)
        drawn = lengths.integers(len(pool), size=len(instants))
        rows = pool.iloc[drawn].reset_index(drop=True)
        if "request_id" in rows:
            rows["request_id"] += [f" ({number})" for number in range(len(rows))]
        table = check(rows.assign(arrival=instants), Path(self.path).name)
        table.attrs = {**self._rows.attrs, "cut": int(self._cut[pool.index[drawn]].sum()), "read": self._read}
        return table

    def training(self) -> pd.DataFrame:
        """The rows that are never replayed, all at arrival 0."""
        if not self.training_share:
            raise none_kept(self.path)
        return self._part(training=True).reset_index(drop=True)

    @property
    def _burst(self) -> int:
        return int(self.rate) + 1 if self.burst is None else self.burst

    def _instants(self, arrivals: np.random.Generator) -> np.ndarray:
        requests, seconds = self.requests or np.inf, self.seconds or np.inf
        instants = np.zeros(0)
        while len(instants) < requests and (not len(instants) or instants[-1] < seconds):
            gaps = arrivals.exponential(1 / self.rate, DRAWN_AT_ONCE)
            instants = np.concatenate([instants, np.cumsum(gaps) + (instants[-1] if len(instants) else 0.0)])
        instants = instants[: self.requests]
        instants[: self._burst] = 0.0
        return instants[instants < seconds]

    def _part(self, training: bool) -> pd.DataFrame:
        """The rows that train or those that are replayed, under the numbers that they have in the file."""
        table = self._rows
        keys = table["request_id"] if "request_id" in table else table.index.astype(str)
        chosen = [in_training(key, self.training_share or 0) is training for key in keys]
        if not any(chosen):
            raise TraceError(f"{self.path}: no request falls in the {'training' if training else 'replay'} part")
        return table[chosen]

    @cached_property
    def _read(self) -> int:
        return len(self._file) + sum(self._file.attrs.get("skipped", {}).values())

    @cached_property
    def _of_tasks(self) -> pd.DataFrame:
        table = self._file
        if self.tasks is None:
            return table
        there = set(table["task"]) if "task" in table else set()
        if unknown := sorted(set(self.tasks) - there):
            raise TraceError(f"{self.path}: no task {', '.join(unknown)}; it has {', '.join(sorted(there)) or 'none'}")
        return kept(table, table["task"].isin(self.tasks).to_numpy())

    @cached_property
    def _file(self) -> pd.DataFrame:
        return self.load(public_file(self.path), **({"skip_bad": True} if self.skip_bad else {}))

    @cached_property
    def _rows(self) -> pd.DataFrame:
        """Those of `tasks`, their answers ended."""
        table = self._of_tasks
        bound = np.full(len(table), self.max_context or 4 * LONGEST)
        if self.max_tokens is not None:
            cap = np.minimum(table["output_tokens"] + returned(table), self.max_tokens).to_numpy()
            table = table.assign(max_tokens=cap)
            bound = np.minimum(bound, table["prompt_tokens"].to_numpy() + cap)
        return ended(table, bound)

    @cached_property
    def _cut(self) -> np.ndarray:
        """Of each of these rows, whether its answer was ended."""
        return context(self._rows) < context(self._of_tasks)
