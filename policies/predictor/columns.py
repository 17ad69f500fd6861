"""What RT-LM's predictors look at: the prompt's length, and the scores of some rules on its text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.request import Request


def of_rules(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """What a request must carry for a predictor with these settings."""
    return ("features",) if settings.get("rules") else ()


@dataclass(frozen=True, slots=True)
class Columns:
    """The log of the prompt's tokens if `prompt_length`, then the scores of `rules`, numbered as `Request.features`."""

    prompt_length: bool
    rules: tuple[int, ...]

    def __post_init__(self) -> None:
        if not (self.prompt_length or self.rules) or min(self.rules, default=0) < 0:
            raise ValueError(f"a predictor needs the prompt's length or rules, numbered from 0, got {self}")

    def __len__(self) -> int:
        return self.prompt_length + len(self.rules)

    def of(self, request: Request) -> tuple[float, ...]:
        """The inputs for `request`; ValueError if it lacks a rule's score."""
        features = request.features
        if self.rules and len(features) <= max(self.rules):
            raise ValueError(
                f"request {request.id} carries {len(features)} text features, this predictor needs "
                f"{max(self.rules) + 1}; a trace without text wants predictor=prompt_length"
            )
        scores = tuple([features[rule] for rule in self.rules])
        return (math.log(request.prompt_tokens), *scores) if self.prompt_length else scores

    def table(self, requests: Iterable[Request]) -> NDArray[np.float64]:
        """The inputs for `requests`, a row each."""
        return np.array([self.of(request) for request in requests], dtype=float)
