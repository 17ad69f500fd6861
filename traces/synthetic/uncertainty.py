"""RT-LM's test sets: dialogue of a small, normal or large variance of uncertainty, with a share of malicious requests.

RT-LM's own definitions are not public; these are ours [A].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.special import logsumexp

from traces.schema import LONGEST, check
from traces.synthetic.arrivals import poisson
from traces.synthetic.dialogue import SyntheticDialogue
from traces.synthetic.workload import capped
from traces.text.kinds import KINDS

DRAWN = 1000  # dialogues drawn at a time, of which some are kept
MOST_DRAWN = 100  # dialogues drawn for each one that is kept, at the most


@dataclass(frozen=True)
class UncertaintyMix(SyntheticDialogue):
    """Dialogue, selected so that its uncertainty varies `variance` times as much as in the pool, about the same mean.

    A prompt's uncertainty is the log of the product of its kinds' `effects`: the log of its answer's median, less a
    constant. The pool is the training rows. A dialogue is kept with a probability in proportion to
    exp(a d + b d^2), d its uncertainty less the pool's mean: of all weights that keep the mean and give that variance,
    those nearest to equal ones. Each request is, with probability `malicious_share`, a malicious one instead (its
    client is "malicious", the others' "ordinary"): of `malicious_kinds` kinds, with an answer above the pool's
    `malicious_quantile`, both before `max_tokens` cuts.
    """

    variance: float = 1.0
    malicious_share: float = 0.0
    malicious_kinds: int = 4
    malicious_quantile: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.variance < math.inf:
            raise ValueError(f"variance must be a positive multiple of the pool's, got {self.variance}")
        if not 0 <= self.malicious_share <= 1 or not 0 < self.malicious_quantile < 1:
            raise ValueError(
                f"malicious_share and malicious_quantile must be between 0 and 1, got {self.malicious_share} and "
                f"{self.malicious_quantile}"
            )
        if not 1 <= self.malicious_kinds <= len(KINDS):
            raise ValueError(f"malicious_kinds must be between 1 and {len(KINDS)}, got {self.malicious_kinds}")

    @property
    def provenance(self) -> str:
        """One line that says that nothing here was measured."""
        return (
            f"{super().provenance}; selected to {self.variance:g} times the variance of uncertainty, "
            f"{self.malicious_share:g} malicious"
        )

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """As in `SyntheticDialogue`; `attrs["malicious"]` counts the malicious requests."""
        instants = poisson(self.rate, self.requests, arrivals)
        malicious = lengths.random(self.requests) < self.malicious_share
        many_kinds = replace(self, kinds_per_prompt=(*[0.0] * self.malicious_kinds, 1.0))
        ordinary = self._selected(self, int((~malicious).sum()), lengths, self._kept)
        rows = pd.concat([ordinary, self._selected(many_kinds, int(malicious.sum()), lengths, self._is_long)])
        rows.index = np.concatenate([np.flatnonzero(~malicious), np.flatnonzero(malicious)])
        table = rows.sort_index().assign(arrival=instants, client=np.where(malicious, "malicious", "ordinary"))
        table.attrs = {"malicious": int(malicious.sum())}
        return check(capped(table, self.max_tokens), "synthetic uncertainty mix")

    def uncertainty(self, table: pd.DataFrame) -> np.ndarray:
        """The log of the product of the effects of each row's kinds."""
        logs = {"plain": 0.0, **{kind: math.log(effect) for kind, effect in self.effects.items()}}
        return np.array([sum(logs[kind] for kind in task.split("+")) for task in table["task"]])

    @cached_property
    def _pool(self) -> pd.DataFrame:
        return replace(self, max_tokens=LONGEST).training()

    @cached_property
    def _selection(self) -> tuple[float, np.ndarray, float]:
        """The pool's mean uncertainty, the weights a and b, and the log of the greatest exp(a d + b d^2)."""
        pool = self.uncertainty(self._pool)
        mean = float(pool.mean())
        powers = np.stack([pool - mean, (pool - mean) ** 2], axis=1)
        wanted = np.array([0.0, self.variance * powers[:, 1].mean()])
        found = minimize(lambda weights: logsumexp(powers @ weights) - wanted @ weights, np.zeros(2), method="BFGS")
        logs = powers @ found.x
        shares = np.exp(logs - logsumexp(logs))
        if not np.allclose(shares @ powers, wanted, atol=1e-3 * max(wanted[1], 1e-12)):
            raise ValueError(f"no selection of these dialogues has {self.variance} times their variance of uncertainty")
        return mean, found.x, float(logs.max())

    def _kept(self, table: pd.DataFrame, lengths: np.random.Generator) -> np.ndarray:
        mean, weights, greatest = self._selection
        distance = self.uncertainty(table) - mean
        logs = weights[0] * distance + weights[1] * distance**2 - greatest
        return np.log(lengths.random(len(table))) < logs

    def _is_long(self, table: pd.DataFrame, lengths: np.random.Generator) -> np.ndarray:
        return (table["output_tokens"] > self._pool["output_tokens"].quantile(self.malicious_quantile)).to_numpy()

    def _selected(
        self,
        dialogue: SyntheticDialogue,
        requests: int,
        lengths: np.random.Generator,
        kept: Callable[[pd.DataFrame, np.random.Generator], np.ndarray],
    ) -> pd.DataFrame:
        """The first `requests` dialogues that `kept` keeps, their answers uncut."""
        uncut = replace(dialogue, max_tokens=LONGEST)
        found: list[pd.DataFrame] = []
        drawn = 0
        while sum(map(len, found)) < requests:
            if drawn >= MOST_DRAWN * max(requests, DRAWN):
                raise ValueError(f"{sum(map(len, found))} of {drawn} dialogues could be kept, {requests} are wanted")
            table = uncut._table(np.zeros(DRAWN), lengths, training=False)
            found.append(table[kept(table, lengths)])
            drawn += DRAWN
        return pd.concat(found).head(requests) if found else self._pool.head(0)
