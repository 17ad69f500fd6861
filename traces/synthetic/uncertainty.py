"""RT-LM's test sets: dialogue of a small, normal or large variance of uncertainty, with a share of malicious requests.

RT-LM's own definitions are not public; these are ours [A].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import permutations

import numpy as np
import pandas as pd

from traces.kinds import KINDS
from traces.schema import LONGEST
from traces.synthetic.arrivals import poisson
from traces.synthetic.dialogue import SyntheticDialogue
from traces.synthetic.selection import tilted
from traces.synthetic.workload import capped, drawn

ROUNDS = 100  # in which as many dialogues are drawn as malicious ones are wanted


@dataclass(frozen=True)
class UncertaintyMix(SyntheticDialogue):
    """Dialogue, selected so that its uncertainty varies `variance` times as much as it would, about the same mean.

    A prompt's uncertainty is the log of the product of its kinds' `effects`: the log of its answer's median, less a
    constant. A dialogue is kept with a probability in proportion to exp(a d + b d^2), d its uncertainty less the mean:
    of all weights that keep the mean and give that variance, those nearest to equal ones. Each request is, with
    probability `malicious_share`, a malicious one instead (its client is "malicious", the others' "ordinary"): of
    `malicious_kinds` kinds, with an answer above the `malicious_quantile` of the training rows', both before
    `max_tokens` cuts.
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
        ordinary = replace(self._uncut, keep=self._keep)._table(np.zeros((~malicious).sum()), lengths, training=False)
        rows = pd.concat([ordinary, self._long(int(malicious.sum()), lengths)]) if malicious.any() else ordinary
        rows.index = np.concatenate([np.flatnonzero(~malicious), np.flatnonzero(malicious)])
        table = rows.sort_index().assign(arrival=instants, client=np.where(malicious, "malicious", "ordinary"))
        table.attrs = {"malicious": int(malicious.sum())}
        return drawn(capped(table, self.max_tokens), "synthetic uncertainty mix")

    def uncertainty(self, kinds: Iterable[str]) -> float:
        """The log of the product of the effects of `kinds`."""
        return sum(math.log(self.effects[kind]) for kind in kinds)

    @cached_property
    def _uncut(self) -> _Kept:
        """This dialogue, unselected, with no cap on its answers."""
        settings = {one.name: getattr(self, one.name) for one in fields(SyntheticDialogue)}
        return _Kept(**{**settings, "max_tokens": LONGEST})

    @cached_property
    def _kept(self) -> dict[tuple[str, ...], float]:
        """The probability of keeping a dialogue of each set of kinds."""
        population = self._population()
        shares = np.array(list(population.values()))
        ratios = tilted(np.array([self.uncertainty(kinds) for kinds in population]), shares, self.variance) / shares
        return dict(zip(population, (ratios / ratios.max()).tolist(), strict=True))

    def _population(self) -> dict[tuple[str, ...], float]:
        """The probability of each set of kinds in a dialogue: the sum over the orders in which they can be drawn."""
        found: dict[tuple[str, ...], float] = {}
        for count, probability in enumerate(self.kinds_per_prompt):
            for order in permutations(KINDS, count):
                weights = [self.mix[kind] for kind in order]
                left = sum(self.mix.values()) - np.append(0.0, np.cumsum(weights))[:count]
                kinds = tuple(sorted(order))
                found[kinds] = found.get(kinds, 0.0) + probability * float(np.prod(weights / left))
        return {kinds: share for kinds, share in found.items() if share > 0}

    def _keep(self, kinds: tuple[str, ...]) -> float:
        """The probability of keeping a dialogue of `kinds`."""
        return self._kept[tuple(sorted(kinds))]

    def _long(self, requests: int, lengths: np.random.Generator) -> pd.DataFrame:
        """Malicious dialogues."""
        dialogue = replace(self._uncut, kinds_per_prompt=(*[0.0] * self.malicious_kinds, 1.0))
        least = self._uncut.training()["output_tokens"].quantile(self.malicious_quantile)
        found: list[pd.DataFrame] = []
        for _ in range(ROUNDS):
            table = dialogue._table(np.zeros(requests), lengths, training=False)
            found.append(table[table["output_tokens"] > least])
            if sum(map(len, found)) >= requests:
                return pd.concat(found).head(requests)
        raise ValueError(
            f"malicious_kinds={self.malicious_kinds} give {sum(map(len, found))} answers above {least:g} tokens in "
            f"{ROUNDS} times {requests}: {requests} are wanted"
        )


@dataclass(frozen=True)
class _Kept(SyntheticDialogue):
    """Dialogue whose kinds of uncertainty are kept with the probability that `keep` gives them, else drawn anew."""

    keep: Callable[[tuple[str, ...]], float] = lambda kinds: 1.0

    def _kinds(self, texts: np.random.Generator) -> tuple[str, ...]:
        while True:
            kinds = super()._kinds(texts)
            if texts.random() < self.keep(kinds):
                return kinds
