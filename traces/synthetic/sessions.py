"""Synthetic sessions: clients in a closed loop, and conversations whose prompts grow by what was said before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pandas as pd

from traces.schema import LONGEST
from traces.synthetic.arrivals import Process
from traces.synthetic.lengths import Lengths
from traces.synthetic.parameters import check_not_negative, check_positive
from traces.synthetic.workload import TRAINING_REQUESTS, TRAINING_SEED, capped, check_cap, drawn


class Think(Protocol):
    """How long a client waits before it goes on."""

    def draw(self, count: int, arrivals: np.random.Generator) -> np.ndarray:
        """`count` think times, s."""
        ...


@dataclass(frozen=True)
class Constant:
    """`seconds`, always."""

    seconds: float

    def __post_init__(self) -> None:
        check_not_negative(self, "seconds")

    def draw(self, count: int, arrivals: np.random.Generator) -> np.ndarray:
        """As in `Think`; nothing is drawn."""
        return np.full(count, self.seconds)


@dataclass(frozen=True)
class Exponential:
    """An exponential time of mean `seconds`."""

    seconds: float

    def __post_init__(self) -> None:
        check_positive(self, "seconds")

    def draw(self, count: int, arrivals: np.random.Generator) -> np.ndarray:
        """As in `Think`."""
        return arrivals.exponential(self.seconds, count)


@dataclass(frozen=True)
class ClosedLoop:
    """`clients` who each send a request, wait for its answer, think, and send the next one: `requests` in all.

    Each begins with a think time, and sends an equal number of requests (the first ones one more, if need be). The
    rate follows from the think times and from how fast the requests are served.
    """

    clients: int
    requests: int
    think: Think
    lengths: Lengths
    max_tokens: int | None = None
    training_requests: int = TRAINING_REQUESTS
    training_seed: int = TRAINING_SEED

    def __post_init__(self) -> None:
        check_positive(self, "clients", "requests", "training_requests")
        check_cap(self.max_tokens)
        if self.requests < self.clients:
            raise ValueError(f"requests must be at least one for each of {self.clients} clients, got {self.requests}")

    @property
    def provenance(self) -> str:
        """One line that says that nothing here was measured."""
        return f"synthetic: closed loop of {self.clients} clients who think for {self.think} s, {self.lengths}"

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """`arrivals` draws the think times, `lengths` the rest; `attrs["cut"]` counts the answers cut."""
        return self._table(self.requests, arrivals, lengths, training=False)

    def training(self) -> pd.DataFrame:
        """Rows of the same population, drawn apart."""
        seed = np.random.default_rng(self.training_seed)
        return self._table(max(self.training_requests, self.clients), seed, seed, training=True)

    def _table(
        self, requests: int, arrivals: np.random.Generator, lengths: np.random.Generator, training: bool
    ) -> pd.DataFrame:
        starts = np.sort(self.think.draw(self.clients, arrivals))
        turns = np.full(self.clients, requests // self.clients)
        turns[: requests % self.clients] += 1
        client = np.repeat(np.arange(self.clients), turns)
        prompts, outputs = self.lengths.draw(requests, lengths, training)
        table = pd.DataFrame(
            {
                "arrival": starts[client],
                "prompt_tokens": prompts,
                "output_tokens": outputs,
                "client": [f"client {number}" for number in client],
                "session": [f"client {number}" for number in client],
                "think": self.think.draw(requests, arrivals),
            }
        )
        return drawn(capped(table, self.max_tokens), "synthetic closed loop")


class Pace(Protocol):
    """When the turns of a session come."""

    def columns(self, starts: np.ndarray, turns: np.ndarray, arrivals: np.random.Generator) -> dict[str, np.ndarray]:
        """The arrivals, and think times if there are any, of sessions of `turns` turns each that start at `starts`."""
        ...


@dataclass(frozen=True)
class Waiting:
    """A closed loop: each turn comes `think` after the end of the turn before it."""

    think: Think

    def columns(self, starts: np.ndarray, turns: np.ndarray, arrivals: np.random.Generator) -> dict[str, np.ndarray]:
        """As in `Pace`: every turn bears the arrival of the first, before which none may come."""
        return {"arrival": np.repeat(starts, turns), "think": self.think.draw(int(turns.sum()), arrivals)}


@dataclass(frozen=True)
class Stamped:
    """An open loop: each turn arrives `think` after the arrival of the turn before it, answered or not."""

    think: Think

    def columns(self, starts: np.ndarray, turns: np.ndarray, arrivals: np.random.Generator) -> dict[str, np.ndarray]:
        """As in `Pace`."""
        gaps = self.think.draw(int(turns.sum()), arrivals)
        first = np.cumsum(turns) - turns
        gaps[first] = 0.0
        return {"arrival": np.repeat(starts, turns) + _within(gaps, turns)}


@dataclass(frozen=True)
class MultiTurn:
    """Conversations: the prompt of a turn is the whole of the turn before it, its answer too, and a new message.

    Sessions start by the process `arrivals`, so often that there are `rate` requests/s (less before the first sessions
    are over, and where some end early). A session has a geometric number of turns of mean `turns`; it ends before a
    turn that needs more than `max_context` tokens. Of `lengths`, the prompt is the new message. The first
    `system_tokens` of all sessions are equal. `prompt_ids` stand for `id_tokens` tokens each; the last one of a prompt
    that it does not fill is its own. `training_requests` rows are drawn apart, with `training_seed`.
    """

    rate: float
    requests: int
    arrivals: Process
    pace: Pace
    lengths: Lengths
    turns: float
    system_tokens: int = 0
    max_context: int = LONGEST
    max_tokens: int | None = None
    id_tokens: int = 16
    training_requests: int = TRAINING_REQUESTS
    training_seed: int = TRAINING_SEED

    def __post_init__(self) -> None:
        check_positive(self, "rate", "requests", "max_context", "id_tokens", "training_requests")
        check_not_negative(self, "system_tokens")
        check_cap(self.max_tokens)
        if not 1 <= self.turns < np.inf:
            raise ValueError(f"turns must be finite and at least 1, got {self.turns}")

    @property
    def provenance(self) -> str:
        """One line that says that nothing here was measured."""
        return (
            f"synthetic: sessions of {self.turns:g} turns that start by {self.arrivals}, {self.rate:g} requests/s in "
            f"all, {self.pace}, {self.system_tokens} tokens shared by all, messages and answers {self.lengths}"
        )

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """The first `requests` turns. `arrivals` draws when sessions start and the think times, `lengths` the rest.

        `attrs["cut"]` counts the answers cut at `max_tokens`, `attrs["ended_early"]` the sessions at `max_context`.
        """
        return self._table(arrivals, lengths, training=False)

    def training(self) -> pd.DataFrame:
        """Rows of the same population, drawn apart."""
        seed = np.random.default_rng(self.training_seed)
        return replace(self, requests=self.training_requests)._table(seed, seed, training=True)

    def _table(self, arrivals: np.random.Generator, lengths: np.random.Generator, training: bool) -> pd.DataFrame:
        starts = self.arrivals.instants(self.rate / self.turns, self.requests, arrivals)  # more than can be needed
        turns = lengths.geometric(1 / self.turns, len(starts))
        session = np.repeat(np.arange(len(starts)), turns)
        messages, answers = self.lengths.draw(len(session), lengths, training)
        outputs = answers if self.max_tokens is None else np.minimum(answers, self.max_tokens)
        said = _within(messages + outputs, turns)
        table = pd.DataFrame(
            {
                **self.pace.columns(starts, turns, arrivals),
                "prompt_tokens": self.system_tokens + said - outputs,
                "output_tokens": answers,
                "session": session,
            }
        )
        fits = self.system_tokens + said <= self.max_context
        table = table[fits].sort_values("arrival", kind="stable").head(self.requests).reset_index(drop=True)
        if len(table) < self.requests:
            raise ValueError(f"max_context={self.max_context} tokens are too few: {len(table)} turns fit")
        table["prompt_ids"] = self._ids(table)
        ended = np.unique(session[~fits])
        early = np.isin(ended, table["session"]).sum()
        table = capped(table.assign(id_tokens=self.id_tokens), self.max_tokens)
        table.attrs["ended_early"] = int(early)
        return drawn(table.assign(session=table["session"].map("session {}".format)), "synthetic sessions")

    def _ids(self, table: pd.DataFrame) -> list[list[int]]:
        """The ids of each prompt: those of all sessions, those of its own, and one of its own if the last is not full.

        A session owns as many ids as its longest prompt has, and one more for each of its turns.
        """
        shared = self.system_tokens // self.id_tokens
        full = (table["prompt_tokens"] // self.id_tokens).astype(int)
        turn = table.groupby("session").cumcount()
        longest = full.groupby(table["session"]).max()
        owned = longest + table["session"].value_counts()
        base = table["session"].map(shared + owned.cumsum() - owned)
        own = base + table["session"].map(longest) + turn
        partial = table["prompt_tokens"] % self.id_tokens > 0
        return [
            [*range(shared), *range(start + shared, start + blocks), *([last] if has_last else [])]
            for start, blocks, last, has_last in zip(base, full, own, partial, strict=True)
        ]


def _within(steps: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """The running sums of `steps` within each session of `turns` turns."""
    sums = np.cumsum(steps)
    first = np.cumsum(turns) - turns
    return sums - np.repeat(sums[first] - steps[first], turns)
