"""A mix of clients: a few send most of the requests, each with its own burstiness and lengths."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from traces.schema import LONGEST
from traces.synthetic.arrivals import CV_RANGE
from traces.synthetic.lengths import Lengths
from traces.synthetic.parameters import check_not_negative, check_positive
from traces.synthetic.workload import TRAINING_REQUESTS, TRAINING_SEED, capped, check_cap, drawn


@dataclass(frozen=True)
class ClientMix:
    """`clients` whose requests make up `rate` requests/s in all; after ServeGen's finding that clients differ.

    Client i has a share of the rate in proportion to i ** -`popularity` (Zipf); Gamma gaps whose CV is lognormal over
    the clients, of median `cv`, with `cv_spread` the standard deviation of its log; and factors on the prompts and on
    the answers of `lengths`, lognormal of median 1 and `length_spread`. Who the clients are is drawn with
    `training_seed`, so that training shows the same ones. Answers are cut at `max_tokens` (None: not).
    """

    rate: float
    requests: int
    clients: int
    lengths: Lengths
    popularity: float
    cv: float
    cv_spread: float
    length_spread: float
    max_tokens: int | None = None
    training_requests: int = TRAINING_REQUESTS
    training_seed: int = TRAINING_SEED

    def __post_init__(self) -> None:
        check_positive(self, "rate", "requests", "clients", "cv", "training_requests")
        check_not_negative(self, "popularity", "cv_spread", "length_spread")
        check_cap(self.max_tokens)

    @property
    def provenance(self) -> str:
        """One line that says that nothing here was measured."""
        return (
            f"synthetic: {self.clients} clients of Zipf popularity (exponent {self.popularity:g}) at {self.rate:g} "
            f"requests/s in all, Gamma gaps of median CV {self.cv:g}, {self.lengths} times a client's own factors"
        )

    @cached_property
    def population(self) -> pd.DataFrame:
        """Each client's share of the rate, CV of gaps, and factors on prompts and on answers."""
        drawn = np.random.default_rng(self.training_seed)
        weights = np.arange(1, self.clients + 1) ** -float(self.popularity)
        return pd.DataFrame(
            {
                "share": weights / weights.sum(),
                "cv": (self.cv * drawn.lognormal(0, self.cv_spread, self.clients)).clip(*CV_RANGE),
                "prompt": drawn.lognormal(0, self.length_spread, self.clients),
                "output": drawn.lognormal(0, self.length_spread, self.clients),
            }
        )

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """`arrivals` draws who comes when, `lengths` the rest; `attrs["cut"]` counts the answers cut."""
        instants, client = self._superposed(arrivals)
        return self._table(instants, client, lengths, training=False)

    def training(self) -> pd.DataFrame:
        """Rows of the same clients, drawn apart, all at arrival 0."""
        drawn = np.random.default_rng([self.training_seed, 1])
        client = drawn.choice(self.clients, self.training_requests, p=self.population["share"])
        return self._table(np.zeros(self.training_requests), client, drawn, training=True)

    def _superposed(self, arrivals: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The first `requests` instants of all clients, and whose they are.

        Each client's process is in equilibrium from the start: its first gap is what is left of a gap that an instant
        falls into (a uniform share of a Gamma gap drawn by its length), so that the rate is the same throughout.
        """
        shapes = self.population["cv"].to_numpy() ** -2
        scales = 1 / (shapes * self.rate * self.population["share"].to_numpy())
        firsts = arrivals.random(self.clients) * arrivals.gamma(shapes + 1, scales)
        upcoming = [(float(instant), client) for client, instant in enumerate(firsts)]
        heapq.heapify(upcoming)
        came = []
        for _ in range(self.requests):
            instant, client = upcoming[0]
            came.append((instant, client))
            heapq.heapreplace(upcoming, (instant + arrivals.gamma(shapes[client], scales[client]), client))
        instants, clients = zip(*came, strict=True)
        return np.array(instants), np.array(clients)

    def _table(
        self, instants: np.ndarray, client: np.ndarray, lengths: np.random.Generator, training: bool
    ) -> pd.DataFrame:
        prompts, outputs = self.lengths.draw(len(client), lengths, training)
        factors = self.population.iloc[client]
        table = pd.DataFrame(
            {
                "arrival": instants,
                "prompt_tokens": np.ceil(prompts * factors["prompt"].to_numpy()).clip(1, LONGEST),
                "output_tokens": np.ceil(outputs * factors["output"].to_numpy()).clip(1, LONGEST),
                "client": [f"client {number}" for number in client],
            }
        )
        return drawn(capped(table, self.max_tokens), "synthetic clients")
