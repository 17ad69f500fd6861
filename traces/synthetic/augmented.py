"""Synthetic requests that call APIs: by class of API, how long what they say, wait for and are returned is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import pandas as pd

from traces.calls import context, ended
from traces.schema import LONGEST
from traces.synthetic.arrivals import Process
from traces.synthetic.parameters import check_not_negative, check_positive, check_weights
from traces.synthetic.workload import TRAINING_REQUESTS, TRAINING_SEED, drawn


@dataclass(frozen=True)
class Seconds:
    """Times of this `mean` and standard deviation `sd` from `least` to `most` (s): a beta distribution on that range.

    ValueError where no distribution on the range has them.
    """

    mean: float
    sd: float
    least: float
    most: float

    def __post_init__(self) -> None:
        check_not_negative(self, "least", "most")
        if not (self.least < self.mean < self.most and 0 < self.sd**2 < self._widest):
            raise _impossible(self, "times", math.sqrt(max(self._widest, 0.0)))

    @property
    def _widest(self) -> float:
        return (self.mean - self.least) * (self.most - self.mean)

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """`count` of them, float64."""
        width = self.most - self.least
        at, size = (self.mean - self.least) / width, self._widest / self.sd**2 - 1
        return self.least + width * rng.beta(at * size, (1 - at) * size, count)


@dataclass(frozen=True)
class Count:
    """Whole numbers of this `mean` and standard deviation `sd` from `least` to `most`: a beta-binomial distribution.

    With `sd` 0 all are the mean. ValueError where it cannot have them: it is at least as wide as a binomial one.
    """

    mean: float
    sd: float
    least: int
    most: int

    def __post_init__(self) -> None:
        check_not_negative(self, "least", "most")
        if self.least % 1 or self.most % 1:
            raise ValueError(f"whole numbers have whole bounds, got {self.least} and {self.most}")
        if self.sd == 0 and self.mean % 1 == 0 and self.least <= self.mean <= self.most:
            return
        if not (self.least < self.mean < self.most and 0 <= self._correlation < 1):
            raise _impossible(
                self, "whole numbers", math.sqrt(max((self.mean - self.least) * (self.most - self.mean), 0))
            )

    @property
    def _correlation(self) -> float:
        """Of the trials: 0 of a binomial distribution, 1 of one that has both ends alone."""
        trials = self.most - self.least
        chance = (self.mean - self.least) / trials
        return (self.sd**2 / (trials * chance * (1 - chance)) - 1) / max(trials - 1, 1)

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """`count` of them, int64."""
        if self.sd == 0:
            return np.full(count, int(self.mean))
        trials = self.most - self.least
        chance = (self.mean - self.least) / trials
        if self._correlation > 0:
            size = 1 / self._correlation - 1
            return self.least + rng.binomial(trials, rng.beta(chance * size, (1 - chance) * size, count))
        return self.least + rng.binomial(trials, chance, count)


def _impossible(part: Seconds | Count, what: str, widest: float) -> ValueError:
    return ValueError(
        f"no {what} from {part.least} to {part.most} have a mean of {part.mean} and a standard deviation of {part.sd} "
        f"(at most {widest:g})"
    )


@dataclass(frozen=True)
class CallClass:
    """Requests that call one class of API: `share` of all, their `prompt` (tokens), `calls`, the tokens of a `segment`
    (before the first call, between two, after the last), the `seconds` of a call and the tokens `returned` by one."""

    share: float
    prompt: Count
    calls: Count
    segment: Count
    seconds: Seconds
    returned: Count

    def __post_init__(self) -> None:
        check_positive(self, "share")
        for name in ("prompt", "segment"):
            if getattr(self, name).least < 1:
                raise ValueError(f"a {name} has at least 1 token, got least={getattr(self, name).least}")

    def rows(self, count: int, rng: np.random.Generator) -> list[dict[str, Any]]:
        """`count` requests: prompt_tokens, output_tokens and pauses."""
        prompts, calls = self.prompt.draw(count, rng), self.calls.draw(count, rng)
        total = int(calls.sum())
        segments = self.segment.draw(total + count, rng)
        seconds, returned = self.seconds.draw(total, rng), self.returned.draw(total, rng)
        ends = np.concatenate([[0], np.cumsum(calls)])
        rows = []
        for number, (first, last) in enumerate(pairwise(ends.tolist())):
            emitted = list(accumulate(segments[first + number : last + number + 1].tolist()))
            each = zip(emitted, seconds[first:last].tolist(), returned[first:last].tolist(), strict=False)
            rows.append(
                {
                    "prompt_tokens": int(prompts[number]),
                    "output_tokens": emitted[-1],
                    "pauses": [list(one) for one in each],
                }
            )
        return rows


@dataclass(frozen=True)
class Classes:
    """The classes of API by name; `origin` says where their figures come from."""

    origin: str
    classes: Mapping[str, CallClass]

    def __str__(self) -> str:
        return f"calls of {', '.join(self.classes)} by {self.origin}"


@dataclass(frozen=True)
class Augmented:
    """`requests` independent requests that call APIs by `calls`, at a mean of `rate` requests/s.

    The class of each is drawn by the classes' shares and is its task. An answer ends where a request has `max_context`
    tokens (None: never), its prompt leaving room for one; `attrs["cut"]` counts those. `training_requests` rows for
    predictors are drawn apart, with `training_seed`.
    """

    rate: float
    requests: int
    arrivals: Process
    calls: Classes
    max_context: int | None = None
    training_requests: int = TRAINING_REQUESTS
    training_seed: int = TRAINING_SEED

    def __post_init__(self) -> None:
        check_positive(self, "rate", "requests", "training_requests")
        check_weights("shares", tuple(one.share for one in self.calls.classes.values()))
        if self.max_context is not None and (most := max(one.prompt.most for one in self.calls.classes.values())) >= (
            self.max_context
        ):
            raise ValueError(f"max_context must be above the longest prompt, {most:g} tokens, got {self.max_context}")

    @property
    def provenance(self) -> str:
        """One line that says that nothing here was measured."""
        return f"synthetic: {self.arrivals} at {self.rate:g} requests/s, {self.calls}"

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """`arrivals` draws when requests come, `lengths` the rest."""
        return self._table(self.arrivals.instants(self.rate, self.requests, arrivals), lengths)

    def training(self) -> pd.DataFrame:
        """Rows of the same population, all at arrival 0."""
        return self._table(np.zeros(self.training_requests), np.random.default_rng(self.training_seed))

    def _table(self, instants: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
        names, classes = list(self.calls.classes), list(self.calls.classes.values())
        shares = np.array([one.share for one in classes])
        chosen = rng.choice(len(classes), len(instants), p=shares / shares.sum())
        streams = rng.spawn(len(classes))
        rows: list[dict[str, Any]] = [{}] * len(instants)
        for number, (name, one, stream) in enumerate(zip(names, classes, streams, strict=True)):
            at = np.flatnonzero(chosen == number)
            for place, row in zip(at, one.rows(len(at), stream), strict=True):
                rows[place] = {"task": name, **row}
        table = pd.DataFrame(rows).assign(arrival=instants)
        bounded = ended(table, np.full(len(table), self.max_context or 100 * LONGEST))
        bounded.attrs["cut"] = int((context(bounded) < context(table)).sum())
        return drawn(bounded, "synthetic calls")
