"""Prompts as requests, beside several sampled answers of one model to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sim import Request, Truth
from traces.text.cache import cached_scores

UNKNOWN = Truth(1)  # no request carries its answer here


@dataclass(frozen=True, slots=True)
class Sampled:
    """`answers[i, j]` is the j-th sampled length (tokens) of the answer to `requests[i]`, which is of `datasets[i]`."""

    model: str
    requests: tuple[Request, ...]
    answers: NDArray[np.int64]
    datasets: NDArray[np.str_]

    def texts(self) -> list[str]:
        """The prompts."""
        return [str(request.prompt_text) for request in self.requests]

    def part(self, rows: NDArray[np.intp]) -> tuple[list[Request], list[list[int]]]:
        """Some of the requests, and their answers: what a predictor is fitted to."""
        return [self.requests[row] for row in rows], self.answers[rows].tolist()

    def only(self, rows: NDArray[np.intp]) -> Sampled:
        """Some of the prompts, with all that is known of them."""
        requests = tuple(self.requests[row] for row in rows)
        return Sampled(self.model, requests, self.answers[rows], self.datasets[rows])


def sampled(table: pd.DataFrame) -> Sampled:
    """The rows of one model of `traces.formats.castillo`; of more samples than another prompt has, the first are taken.

    ValueError below ten prompts.
    """
    if len(table) < 10:
        raise ValueError(f"{table['model'].iloc[0]} answered {len(table)} prompts, too few to judge by")
    count = min(map(len, table["samples"]))
    columns = zip(table["prompt_text"], table["input_tokens"].tolist(), table["dataset"], strict=True)
    requests = [
        Request(number, 0.0, tokens, UNKNOWN, prompt_text=text, task=dataset)
        for number, (text, tokens, dataset) in enumerate(columns)
    ]
    answers = np.array([lengths[:count] for lengths in table["samples"]], dtype=np.int64)
    return Sampled(table["model"].iloc[0], tuple(requests), answers, table["dataset"].to_numpy(dtype=str))


def with_scores(found: Sampled) -> Sampled:
    """`found` with the scores of the six rules on each prompt's parse."""
    scores: Sequence[Sequence[float]] = cached_scores(found.texts()).tolist()
    requests = (replace(one, features=tuple(row)) for one, row in zip(found.requests, scores, strict=True))
    return replace(found, requests=tuple(requests))
