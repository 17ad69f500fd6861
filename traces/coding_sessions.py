"""Replay coding agents' sessions in a closed loop: each call a recorded gap after our answer to the one before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice
from pathlib import Path

import numpy as np
import pandas as pd

from traces.formats.coding_sessions import BLOCK, KEY, MAIN, distinct, read_calls
from traces.locate import public_file
from traces.schema import TraceError, check
from traces.split import check_kept, in_training, none_kept
from traces.synthetic.parameters import check_positive


@dataclass(frozen=True)
class CodingSessions:
    """`sessions` of those in the file `path` (see `traces.formats.coding_sessions`), drawn at random without their
    copies; more than there are: with replacement, each with contents of its own.

    They start as a Poisson process of `rate` sessions/s, for when they did is not recorded. A sub-agent's calls are a
    session of their own. A session ends before its first call of more than `max_context` tokens, prompt and answer
    (None: never): `attrs["ended_early"]` counts those drawn, `attrs["refused"]` the calls that they lose. One that
    begins with such a call is never drawn. Calls without an answer are left out (`attrs["skipped"]`), and
    `attrs["bounded_think"]` counts gaps of which only a bound is known.

    `prompt_ids` stand for 64 tokens: as many of the call before as the record says, then new ones. Sessions of a
    `training_share`, by the hash of their name, are never replayed.
    """

    path: str
    origin: str
    rate: float
    sessions: int
    max_context: int | None = None
    training_share: float | None = None

    def __post_init__(self) -> None:
        check_kept(self.training_share)
        check_positive(self, "rate", "sessions", *(["max_context"] if self.max_context is not None else []))

    @property
    def provenance(self) -> str:
        """One line: what is recorded here, and what is not."""
        return (
            f"{self.origin} ({Path(self.path).name}, {self._calls.attrs['repeated']} copies left out), each call its "
            f"recorded gap after the answer to the one before; sessions start by a Poisson process of {self.rate:g} "
            "sessions/s, synthetic"
        )

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """`arrivals` draws when sessions start, `lengths` which."""
        pool = self._pool(training=False)
        starts = np.cumsum(arrivals.exponential(1 / self.rate, self.sessions))
        few = self.sessions <= len(pool)
        drawn = (
            lengths.permutation(len(pool))[: self.sessions] if few else lengths.integers(len(pool), size=self.sessions)
        )
        ids, parts = count(), []
        for number, (start, at) in enumerate(zip(starts, drawn, strict=True)):
            calls = self._groups[pool[at]]
            name = calls["trace"].iloc[0] + (
                "" if calls["agent"].iloc[0] == MAIN else f" agent {calls['agent'].iloc[0]}"
            )
            whole = calls.assign(arrival=start, session=f"{name} ({number})", prompt_ids=contents(calls, ids))
            parts.append(whole[self._fit(calls)])
        rows = pd.concat(parts, ignore_index=True)
        lost = sum(len(self._groups[pool[at]]) for at in drawn) - len(rows)
        early = sum(not self._fit(self._groups[pool[at]]).all() for at in drawn)
        answered = rows[rows["output_tokens"] > 0]
        table = check(_table(answered).assign(id_tokens=BLOCK, think=answered["gap"]), Path(self.path).name)
        table.attrs |= {
            "read": len(self._calls), "refused": lost, "ended_early": early,
            "skipped": {"output_tokens is 0": len(rows) - len(answered)} if len(rows) > len(answered) else {},
            "bounded_think": int(answered["bounded"].sum()),
        }  # fmt: skip
        return table

    def training(self) -> pd.DataFrame:
        """The calls of the sessions that are never replayed, all at arrival 0, each on its own."""
        if not self.training_share:
            raise none_kept(self.path)
        parts = [self._groups[at] for at in self._pool(training=True)]
        rows = pd.concat([calls[self._fit(calls)] for calls in parts], ignore_index=True)
        return check(_table(rows[rows["output_tokens"] > 0].assign(arrival=0.0)), Path(self.path).name)

    @cached_property
    def _calls(self) -> pd.DataFrame:
        return distinct(read_calls(public_file(self.path)))

    @cached_property
    def _groups(self) -> list[pd.DataFrame]:
        return [calls for _, calls in self._calls.groupby(KEY, sort=False)]

    def _fit(self, calls: pd.DataFrame) -> np.ndarray:
        """Of each call, whether it and all before it have at most `max_context` tokens."""
        context = (calls["input_tokens"] + calls["output_tokens"]).cummax().to_numpy()
        return context <= (self.max_context or np.inf)

    def _pool(self, training: bool) -> list[int]:
        """The numbers of the sessions that train, or may be replayed, and of which a call fits and is answered."""
        share = self.training_share or 0
        found = [
            number
            for number, calls in enumerate(self._groups)
            if in_training(calls["trace"].iloc[0], share) is training
            and calls["output_tokens"][self._fit(calls)].gt(0).any()
        ]
        if not found:
            part = "training" if training else "replay"
            raise TraceError(f"{self.path}: no session of up to {self.max_context} tokens falls in the {part} part")
        return found


def contents(calls: pd.DataFrame, ids: Iterator[int]) -> list[list[int]]:
    """The prompt ids of a session's calls, new ones taken from `ids`."""
    found: list[list[int]] = []
    before: list[int] = []
    for blocks, shared, tokens in zip(calls["blocks"], calls["lcp_prev_blocks"], calls["input_tokens"], strict=True):
        before = [*before[:shared], *islice(ids, blocks - shared)]
        found.append([*before, *islice(ids, 1 if tokens % BLOCK else 0)])
    return found


def _table(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of the schema that the rows have, but for think times and what an id stands for."""
    names = {"input_tokens": "prompt_tokens"}
    there = [name for name in ("arrival", "session", "prompt_ids", "input_tokens", "output_tokens") if name in rows]
    task = np.where(rows["agent"] == MAIN, "main", "sub-agent")
    return rows[there].rename(columns=names).assign(task=task.astype(object))
