"""The decisions that a learner remembers: the last so many, drawn from at random."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.learning.play import Played
from experiments.learning.settings import Settings
from policies.routing.features import Numbers


class Batch(NamedTuple):
    """Decisions: what was seen, what was chosen, the rewards of so many from there on, and what was seen then."""

    seen: Numbers
    chosen: NDArray[np.int64]
    reward: Numbers
    then: Numbers


class Replay:
    """A ring of `room` decisions."""

    def __init__(self, room: int, size: int) -> None:
        self.held = Batch(
            np.zeros((room, size), np.float32),
            np.zeros(room, np.int64),
            np.zeros(room, np.float32),
            np.zeros((room, size), np.float32),
        )
        self.added = 0

    def __len__(self) -> int:
        return min(self.added, len(self.held.reward))

    def add(self, played: Played, settings: Settings, rng: np.random.Generator) -> None:
        """Remember as many decisions of an episode as are to be, drawn at random from those with `steps` behind them.

        At the others the trace just ends. With `credit` "decision" a decision is given the reward of the request that
        it routed, with "regret" that less the best that the request could be worth, with "step" the rewards of those
        that left before the next. Of `steps` decisions they are summed, discounted by `gamma` for each.
        """
        single = {
            "decision": played.credited,
            "regret": played.credited - played.peak,
            "step": played.stepped,
        }[settings.credit]
        count = len(single) - settings.steps
        if count < 1:
            return
        worth = np.float32(settings.gamma) ** np.arange(settings.steps, dtype=np.float32)
        rewards = np.convolve(single[:-1], worth[::-1], "valid")
        rows = rng.permutation(count)[: min(settings.remembered, len(self.held.reward))]
        places = (self.added + np.arange(len(rows))) % len(self.held.reward)
        found = Batch(played.seen[rows], played.chosen[rows], rewards[rows], played.seen[rows + settings.steps])
        for name in Batch._fields:
            getattr(self.held, name)[places] = getattr(found, name)
        self.added += len(places)

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """So many decisions, each as likely as any other."""
        rows = rng.integers(len(self), size=count)
        seen, chosen, reward, then = self.held
        return Batch(seen[rows], chosen[rows], reward[rows], then[rows])

    def state(self) -> dict[str, Any]:
        """All that it holds."""
        return {"added": self.added, **{name: column[: len(self)] for name, column in self.held._asdict().items()}}

    def restore(self, state: dict[str, Any]) -> None:
        """Hold what `state` told."""
        self.added = int(state["added"])
        for name, column in self.held._asdict().items():
            column[: len(self)] = state[name]
