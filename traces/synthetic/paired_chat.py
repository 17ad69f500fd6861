"""Human chat messages paired with reply lengths of a stated distribution, by a stated strength."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

import numpy as np
import pandas as pd
from scipy.special import log_ndtr, ndtri, ndtri_exp
from scipy.stats import rankdata, zscore

from traces.kinds import KINDS
from traces.split import in_training
from traces.synthetic.arrivals import poisson
from traces.synthetic.parameters import check_not_negative, check_positive, check_weights
from traces.synthetic.selection import tilted
from traces.synthetic.workload import TRAINING_REQUESTS, TRAINING_SEED, capped, drawn
from traces.text import chitchat

Found = TypeVar("Found")
TRAINING_SHARE = 0.5  # of the messages; replay never draws one of them


@dataclass(frozen=True)
class Replies:
    """Lengths of a model's replies in one workload, words."""

    mean_words: float
    sd_words: float

    def __post_init__(self) -> None:
        check_positive(self, "mean_words", "sd_words")

    def words(self, scores: np.ndarray) -> np.ndarray:
        """The lognormal lengths whose normal scores are `scores`."""
        variance = math.log1p((self.sd_words / self.mean_words) ** 2)
        lengths: np.ndarray = np.exp(math.log(self.mean_words) - variance / 2 + math.sqrt(variance) * scores)
        return lengths


@dataclass(frozen=True)
class PairedChat:
    """`requests` human chat messages, arriving as a Poisson process of `rate` requests/s, with synthetic lengths.

    A message's uncertainty index is the sum of log(1 + score) of the six rules, each standardised over all messages and
    times its `weights`, and of the standardised log of its words times `words_weight`. A reply has, in words, the
    lognormal distribution of `replies[model][workload]` (a mapping of mean_words and sd_words); a Gaussian copula gives
    index and length, over all messages, the rank correlation `correlation` (Spearman's). Tokens are `tokens_per_word`
    times words, rounded up; a prompt has `template_tokens` more, a reply is cut at `max_tokens`.

    Messages are drawn with replacement, so that the index keeps its mean and has `variance` times its variance (see
    `tilted`): RT-LM's subsets of small, normal and large variance. A request is, with probability `malicious_share`, a
    malicious one instead (its client is "malicious", the others' "ordinary"): index and uncut length are both above
    their `malicious_quantile` among all messages.

    With `deadlines`, a request's is that long (s, uniform between the two) after its arrival: RT-LM's priority point,
    where it is not to come from the prompt's length.

    The `task` is the kind whose score, of those above 0, is highest when standardised, or "plain" where all are 0.
    """

    rate: float
    requests: int
    model: str
    workload: str
    replies: Mapping[str, Mapping[str, Mapping[str, float]]]
    correlation: float
    weights: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 1.0))  # [A]
    words_weight: float = 1.0  # [A]
    tokens_per_word: float = 1.3  # [A]
    template_tokens: int = 1  # [A] the end of a text
    max_tokens: int = 150
    variance: float = 1.0
    malicious_share: float = 0.0
    malicious_quantile: float = 0.9
    deadlines: Sequence[float] | None = None
    training_requests: int = TRAINING_REQUESTS
    training_seed: int = TRAINING_SEED

    def __post_init__(self) -> None:
        check_positive(self, "rate", "requests", "tokens_per_word", "max_tokens", "variance", "training_requests")
        check_positive(self, "malicious_quantile")
        check_not_negative(self, "template_tokens", "malicious_share")
        if self.malicious_share > 1 or self.malicious_quantile >= 1:
            raise ValueError(
                f"malicious_share must be at most 1 and malicious_quantile below 1, got {self.malicious_share} and "
                f"{self.malicious_quantile}"
            )
        if not -1 < self.correlation < 1:
            raise ValueError(f"correlation must lie between -1 and 1, got {self.correlation}")
        if set(self.weights) != set(KINDS):
            raise ValueError(f"weights must have a value for each of {', '.join(KINDS)}, got {dict(self.weights)}")
        check_weights("weights and words_weight", (*self.weights.values(), self.words_weight))
        if self.deadlines is not None:
            low, high = self.deadlines
            if not 0 <= low <= high < math.inf:
                raise ValueError(f"deadlines must be seconds, the shortest and the longest, got {low} and {high}")
        _ = self._replies

    @property
    def provenance(self) -> str:
        """One line: which part is human, and that the pairing is synthetic."""
        made = self._messages.attrs["provenance"]
        return (
            f"synthetic pairing: messages of {made['source']} scored by the {made['scorer']}, {made['date']}; reply "
            f"lengths of {self.model} on {self.workload}, lognormal (mean {self._replies.mean_words:g}, standard "
            f"deviation {self._replies.sd_words:g} words), of rank correlation {self.correlation:g} with uncertainty, "
            f"cut at {self.max_tokens} tokens; selected to {self.variance:g} times the variance of uncertainty, "
            f"{self.malicious_share:g} malicious; Poisson arrivals"
        )

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """`arrivals` draws when requests come, `lengths` the messages and their replies' lengths.

        Equal generators give equal messages whatever `model`, `workload` and `correlation`. `attrs` count the replies
        that were `cut` and the `malicious` requests.
        """
        instants = poisson(self.rate, self.requests, arrivals)
        pool = self._half(training=False)
        kind, which, long = lengths.random((3, self.requests))
        malicious = kind < self.malicious_share
        shares = np.cumsum(tilted(pool["index"].to_numpy(), np.full(len(pool), 1 / len(pool)), self.variance))
        chosen = np.searchsorted(shares / shares[-1], which, side="right")
        if malicious.any():
            uncertain = np.flatnonzero(pool["normal"] > ndtri(self.malicious_quantile))
            if not len(uncertain):
                raise ValueError(f"no message is above malicious_quantile {self.malicious_quantile} of {len(pool)}")
            chosen[malicious] = uncertain[(which[malicious] * len(uncertain)).astype(int)]
        table = self._table(pool.iloc[chosen], instants, long, malicious)
        if self.deadlines is not None:
            (points,) = lengths.spawn(1)
            low, high = self.deadlines
            table["deadline"] = instants + points.uniform(low, high, self.requests)
        table.attrs["malicious"] = int(malicious.sum())
        return drawn(table, "paired chat")

    def training(self) -> pd.DataFrame:
        """`training_requests` ordinary rows of the messages that are never replayed, unselected, all at arrival 0."""
        pool = self._half(training=True)
        which, long = np.random.default_rng(self.training_seed).random((2, self.training_requests))
        rows = pool.iloc[(which * len(pool)).astype(int)]
        ordinary = np.zeros(len(rows), dtype=bool)
        return drawn(self._table(rows, np.zeros(len(rows)), long, ordinary), "paired chat")

    def _table(
        self, messages: pd.DataFrame, instants: np.ndarray, long: np.ndarray, malicious: np.ndarray
    ) -> pd.DataFrame:
        """`long` are uniform numbers: where a reply's length lies in the distribution that its message allows."""
        copula = 2 * math.sin(math.pi * self.correlation / 6)  # Pearson's r of normal scores with that Spearman's
        foretold, spread = copula * messages["normal"].to_numpy(), math.sqrt(1 - copula**2)
        least = np.where(malicious, (ndtri(self.malicious_quantile) - foretold) / spread, -np.inf)
        noise = -ndtri_exp(np.log1p(-long) + log_ndtr(-least))
        words = self._replies.words(foretold + spread * noise)
        table = pd.DataFrame(
            {
                "arrival": instants,
                "prompt_tokens": self.template_tokens + np.ceil(messages["words"].to_numpy() * self.tokens_per_word),
                "output_tokens": np.maximum(1, np.ceil(words * self.tokens_per_word)),
                "client": np.where(malicious, "malicious", "ordinary"),
                **{name: messages[name].to_numpy() for name in ("message_id", "task", *KINDS)},
            }
        )
        return capped(table, self.max_tokens)

    @property
    def _replies(self) -> Replies:
        """ValueError for an unknown model or workload, with those that are known."""
        return Replies(**_named("workload", self.workload, _named("model", self.model, self.replies)))

    def _half(self, training: bool) -> pd.DataFrame:
        return self._messages[self._messages["training"] == training]

    @property
    def _messages(self) -> pd.DataFrame:
        return _messages(tuple([self.weights[kind] for kind in KINDS]), self.words_weight)


@lru_cache(maxsize=8)
def _messages(weights: tuple[float, ...], words_weight: float) -> pd.DataFrame:
    """All messages, with `index`, its normal score `normal`, `task`, and whether they are for `training`.

    Kept, for in a sweep each process meets the same under many rates, models and workloads.
    """
    table = chitchat.scored()
    scores = zscore(np.log1p(table[list(KINDS)].to_numpy()))
    index = scores @ weights + words_weight * zscore(np.log(table["words"]))
    kinds = np.where(table[list(KINDS)] > 0, scores, -np.inf)
    return table.assign(
        index=index,
        normal=ndtri((rankdata(index, "ordinal") - 0.5) / len(table)),
        task=np.where(np.isinf(kinds).all(axis=1), "plain", np.array(KINDS)[kinds.argmax(axis=1)]),
        training=[in_training(message, TRAINING_SHARE) for message in table["message_id"]],
    )


def _named(what: str, name: str, known: Mapping[str, Found]) -> Found:
    if name not in known:
        raise ValueError(f"no replies of {what} {name!r}; known: {', '.join(known)}")
    return known[name]
