"""What may be done to a trace: cut it, thin it, scale it in time, multiply its clients, bound its lengths.

Each operation takes a checked table, and a generator that it may draw from, and returns a new one. What a real run
measured of a trace does not hold for a changed one: those columns go. `attrs` count what was lost: `broken_sessions`
(some of whose requests went), `refused` and `clipped` requests.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, count

import numpy as np
import pandas as pd

from traces.calls import context, cut
from traces.schema import LONGEST, MEASURED, by_model

COUNTED = (
    "out_of_order",
    "cut",
    "ended_early",
    "bounded_think",
    "malicious",
    "skipped",
    "broken_sessions",
    "refused",
    "clipped",
    "dropped",
)
Operation = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


def counted(table: pd.DataFrame) -> str:
    """What the makers of `table` counted, in words: "; refused: 3, clipped: 1", or nothing."""
    found = {name: table.attrs[name] for name in COUNTED if table.attrs.get(name)}
    reasons = {name: value for name, value in found.items() if isinstance(value, dict)}
    found |= {name: " and ".join(f"{many} ({why})" for why, many in value.items()) for name, value in reasons.items()}
    return f"; {', '.join(f'{name}: {value}' for name, value in found.items())}" if found else ""


def moved(table: pd.DataFrame, arrival: np.ndarray) -> pd.DataFrame:
    """`table` with other arrivals (s), in their order; a deadline keeps its distance from its arrival."""
    later = arrival - table["arrival"].to_numpy()
    table = table.drop(columns=[name for name in MEASURED if name in table]).assign(arrival=arrival)
    if "deadline" in table:
        table["deadline"] += later
    return table.sort_values("arrival", kind="stable").reset_index(drop=True)


def kept(table: pd.DataFrame, mask: np.ndarray) -> pd.DataFrame:
    """The rows of `mask`; ValueError if there is none. `attrs["broken_sessions"]` counts the sessions cut apart."""
    if not mask.any():
        raise ValueError(f"none of {len(table)} requests is kept")
    rows = table[mask].drop(columns=[name for name in MEASURED if name in table]).reset_index(drop=True)
    if "session" in table:
        broken = len(set(rows["session"]) & set(table["session"][~mask]))
        rows.attrs["broken_sessions"] = table.attrs.get("broken_sessions", 0) + broken
    return rows


def from_zero(table: pd.DataFrame) -> pd.DataFrame:
    """`table` with its first arrival at 0 s."""
    arrival = table["arrival"].to_numpy()
    return moved(table, arrival - arrival[0])


def to_rate(table: pd.DataFrame, rate: float) -> pd.DataFrame:
    """`table` stretched in time to a mean of `rate` requests/s; ValueError where no stretch gives it."""
    if "think" in table:
        raise ValueError("a closed loop has no rate of its own: change its think times")
    arrival = table["arrival"].to_numpy()
    span = arrival[-1] - arrival[0]
    if span == 0:
        raise ValueError(f"{len(table)} requests arrive at one instant: no rate to scale")
    return moved(table, arrival * ((len(table) - 1) / span / rate))


@dataclass(frozen=True)
class Rows:
    """`requests` rows one after another, re-based to start at 0, from a start that is drawn: `attrs["start"]`."""

    requests: int

    def __post_init__(self) -> None:
        if self.requests < 1:
            raise ValueError(f"requests must be at least 1, got {self.requests}")

    def __call__(self, table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        if self.requests > len(table):
            raise ValueError(f"{self.requests} requests are wanted, the trace has {len(table)}")
        start = int(rng.integers(len(table) - self.requests + 1))
        at = np.arange(len(table)) - start
        rows = from_zero(kept(table, (at >= 0) & (at < self.requests)))
        rows.attrs["start"] = start
        return rows


@dataclass(frozen=True)
class Window:
    """The requests that arrive in [`start`, `start` + `seconds`), with arrivals from `start` on."""

    start: float
    seconds: float

    def __post_init__(self) -> None:
        _check_positive("seconds", self.seconds)
        if not 0 <= self.start < math.inf:
            raise ValueError(f"start must be finite and not negative, got {self.start}")

    def __call__(self, table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        arrival = table["arrival"].to_numpy()
        rows = kept(table, (arrival >= self.start) & (arrival < self.start + self.seconds))
        return moved(rows, rows["arrival"].to_numpy() - self.start)


@dataclass(frozen=True)
class ToRate:
    """Stretched in time to a mean of `rate` requests/s. Deadlines keep their distance from their arrivals."""

    rate: float

    def __post_init__(self) -> None:
        _check_positive("rate", self.rate)

    def __call__(self, table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        return to_rate(table, self.rate)


@dataclass(frozen=True)
class Stretch:
    """All gaps, think times too, become `factor` times as long. Deadlines keep their distance from their arrivals."""

    factor: float

    def __post_init__(self) -> None:
        _check_positive("factor", self.factor)

    def __call__(self, table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        table = moved(table, table["arrival"].to_numpy() * self.factor)
        return table.assign(think=table["think"] * self.factor) if "think" in table else table


@dataclass(frozen=True)
class Thin:
    """Each request is kept with the probability `share`. What is left of a session keeps its prompts as they are."""

    share: float

    def __post_init__(self) -> None:
        _check_share(self.share)

    def __call__(self, table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        return kept(table, rng.random(len(table)) < self.share)


@dataclass(frozen=True)
class ThinSessions:
    """Each session is kept whole with the probability `share`."""

    share: float

    def __post_init__(self) -> None:
        _check_share(self.share)

    def __call__(self, table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        _check_column(table, "session")
        number, names = pd.factorize(table["session"])
        return kept(table, (rng.random(len(names)) < self.share)[number])


@dataclass(frozen=True)
class Upsample:
    """Each client `copies` times: the first as it was, the requests of each other later by one time up to `jitter` s.

    Each has a name ("x (1 of 2)" of x), sessions, request ids and contents of its own (`prompt_ids`, numbered anew).
    """

    copies: int
    jitter: float

    def __post_init__(self) -> None:
        if self.copies < 2:
            raise ValueError(f"copies must be at least 2, got {self.copies}")
        if not 0 <= self.jitter < math.inf:
            raise ValueError(f"jitter must be finite and not negative, got {self.jitter}")

    def __call__(self, table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        _check_column(table, "client")
        client, names = pd.factorize(table["client"])
        ids = ids_used(table)
        copies = []
        for number in range(self.copies):
            late = rng.uniform(0, self.jitter, len(names)) if number else np.zeros(len(names))
            copy = apart(table, suffix=f" ({number + 1} of {self.copies})", first_id=ids * number)
            copies.append(moved(copy, copy["arrival"].to_numpy() + late[client]))
        return joined(copies)


@dataclass(frozen=True)
class Refuse:
    """Without the requests of more than `max_model_len` tokens: prompt, answer and what pauses return."""

    max_model_len: int

    def __post_init__(self) -> None:
        _check_length(self.max_model_len)

    def __call__(self, table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        fits = context(table) <= self.max_model_len
        rows = kept(table, fits)
        rows.attrs["refused"] = table.attrs.get("refused", 0) + int((~fits).sum())
        return rows


@dataclass(frozen=True)
class Clip:
    """Requests of at most `max_model_len` tokens: an answer ends there, a prompt loses its end to leave one token.

    ValueError for a trace with pauses, and where a prompt with a text would have to be cut: use Refuse.
    """

    max_model_len: int

    def __post_init__(self) -> None:
        _check_length(self.max_model_len)

    def __call__(self, table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        prompts = table["prompt_tokens"].clip(upper=self.max_model_len - 1)
        names = ["output_tokens", *by_model(table)]
        outputs = table[names].clip(upper=self.max_model_len - prompts, axis=0)
        shortened = (prompts < table["prompt_tokens"]).to_numpy()
        if "pauses" in table or ("prompt_text" in table and shortened.any()):
            raise ValueError(f"prompt texts and pauses cannot be clipped to {self.max_model_len} tokens: refuse them")
        clipped = shortened | (outputs < table[names]).to_numpy().any(axis=1)
        result = kept(table, np.ones(len(table), dtype=bool)).assign(prompt_tokens=prompts, **outputs)
        if "prompt_ids" in table:
            result["prompt_ids"] = _clipped_ids(result, shortened)
        result = cut(result, self.max_model_len)
        result.attrs["clipped"] = table.attrs.get("clipped", 0) + int(clipped.sum())
        return result


def apart(table: pd.DataFrame, *, prefix: str = "", suffix: str = "", first_id: int = 0) -> pd.DataFrame:
    """`table` with other names of clients, sessions and requests, and its contents numbered anew from `first_id`: ids
    may be hashes of 64 bits, to which nothing can be added."""
    names = [name for name in ("client", "session", "request_id") if name in table]
    changed = {name: prefix + table[name] + suffix for name in names}
    if "prompt_ids" in table:
        number = {one: first_id + at for at, one in enumerate(sorted(set(chain.from_iterable(table["prompt_ids"]))))}
        changed["prompt_ids"] = pd.Series([[number[one] for one in ids] for ids in table["prompt_ids"]])
    return table.reset_index(drop=True).assign(**changed)


def joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The rows of `tables` in order of arrival, with the first one's attrs."""
    rows = pd.concat(tables, ignore_index=True)
    rows.attrs = dict(tables[0].attrs)
    return rows.sort_values("arrival", kind="stable").reset_index(drop=True)


def ids_used(table: pd.DataFrame) -> int:
    """How many contents have an id."""
    return len(set(chain.from_iterable(table["prompt_ids"]))) if "prompt_ids" in table else 0


def _clipped_ids(table: pd.DataFrame, shortened: np.ndarray) -> list[list[int]]:
    """The ids of what is left of each prompt; where a prompt ends within an id's tokens, it gets one of its own."""
    used = set(chain.from_iterable(table["prompt_ids"]))
    fresh = (one for one in count() if one not in used)
    result = []
    rows = zip(table["prompt_ids"], table["prompt_tokens"], table["id_tokens"], shortened, strict=True)
    for ids, tokens, id_tokens, short in rows:
        full, rest = divmod(tokens, id_tokens)
        cut = [*ids[:full], *([next(fresh)] if short and rest else [])]
        result.append(cut if short and len(ids) else list(ids))
    return result


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {value}")


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")


def _check_length(tokens: int) -> None:
    if not 2 <= tokens <= 2 * LONGEST:
        raise ValueError(f"max_model_len must be from 2 to {2 * LONGEST} tokens, got {tokens}")


def _check_column(table: pd.DataFrame, name: str) -> None:
    if name not in table:
        raise ValueError(f"the trace has no column {name!r}; it has {', '.join(table.columns)}")
