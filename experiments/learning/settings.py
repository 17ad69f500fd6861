"""What a deep Q-network is trained with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

WHOLE = (
    "decisions", "steps", "batch", "replay", "remembered", "decisions_per_update", "first_update", "target_updates",
    "round_episodes",
)  # fmt: skip


def whole(value: Any) -> bool:
    """Whether `value` is a whole number from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def number(value: Any) -> bool:
    """Whether `value` is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True, slots=True)
class Settings:
    """See experiments/conf/learner/double_dqn.yaml, which says what each is and where it comes from."""

    decisions: int
    hidden: tuple[int, ...]
    gamma: float
    steps: int
    credit: str
    huber: float
    learning_rate: float
    last_learning_rate: float
    batch: int
    replay: int
    remembered: int
    decisions_per_update: int
    first_update: int
    target_updates: int
    epsilon: float
    last_epsilon: float
    exploring_share: float
    round_episodes: int

    def __post_init__(self) -> None:
        for name in WHOLE:
            if not whole(getattr(self, name)):
                raise ValueError(f"learner.{name} must be a whole number from 1, got {getattr(self, name)!r}")
        for name in ("huber", "learning_rate", "last_learning_rate"):
            if not number(getattr(self, name)) or getattr(self, name) <= 0:
                raise ValueError(f"learner.{name} must be positive and finite, got {getattr(self, name)}")
        for name in ("epsilon", "last_epsilon", "exploring_share"):
            if not number(getattr(self, name)) or not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"learner.{name} must be from 0 to 1, got {getattr(self, name)}")
        if not number(self.gamma) or not 0 <= self.gamma < 1:
            raise ValueError(f"learner.gamma must be from 0 to below 1, got {self.gamma}")
        if self.credit not in ("decision", "regret", "step"):
            raise ValueError(f"learner.credit must be decision, regret or step, got {self.credit!r}")
        if not isinstance(self.hidden, list | tuple) or not self.hidden or not all(map(whole, self.hidden)):
            raise ValueError(f"learner.hidden must be sizes of layers from 1, got {self.hidden!r}")
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if not self.batch <= self.first_update <= self.replay:
            raise ValueError(
                f"learner.first_update must lie between batch and replay, got {self.batch}, {self.first_update}, "
                f"{self.replay}"
            )
        if self.first_update > self.decisions:
            raise ValueError(
                f"learner.first_update must be at most learner.decisions, got {self.first_update} and {self.decisions}"
            )

    def epsilon_at(self, decisions: int) -> float:
        """How often chance chooses after so many decisions: on a line from the first value to the last."""
        gone = min(decisions / (self.exploring_share * self.decisions), 1.0) if self.exploring_share else 1.0
        return self.epsilon + gone * (self.last_epsilon - self.epsilon)

    def learning_rate_at(self, decisions: int) -> float:
        """The optimiser's step after so many decisions, on a line too."""
        gone = min(decisions / self.decisions, 1.0)
        return self.learning_rate + gone * (self.last_learning_rate - self.learning_rate)
