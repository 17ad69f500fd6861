"""Predictors by the names of their yaml files: fitted, asked out of fold, and timed."""

from __future__ import annotations

import functools
import statistics as stats
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import OmegaConf

from experiments.prediction.samples import Sampled
from experiments.prediction.scores import Foretold
from policies.predictor import encoder, text_statistics
from sim import Prediction, Request
from sim.policy import Predictor
from traces.text.cache import cached
from traces.text.scoring import score_texts

YAML = Path(__file__).parent.parent / "conf" / "predictor"
RULES = ("single_rule", "weighted_rules", "rules", "lw")  # they read the six rules' scores
ENCODED = ("minilm", "kernel_ridge", "gbm", "ssjf_classifier", "ssjf_ordinal", "ltr", "alise")
NAMES = ("constant", "prompt_length", *RULES, "tfidf", "log_t", *ENCODED)
TIMED = 60  # prompts
Fit = Callable[[Sequence[Request], Sequence[Sequence[int]]], Predictor]


def fit_of(name: str) -> Fit:
    """How the predictor `name` is fitted; ValueError for an unknown one, or one that nothing is fitted of."""
    known = sorted(path.stem for path in YAML.glob("*.yaml"))
    if name not in known:
        raise ValueError(f"unknown predictor {name!r}; known: {', '.join(known)}")
    settings = OmegaConf.load(YAML / f"{name}.yaml")
    if not OmegaConf.select(settings, "_partial_"):
        raise ValueError(f"predictor {name!r} is not fitted to answers, so there is nothing to evaluate on these")
    fit: functools.partial[Predictor] = instantiate(settings, _convert_="all")
    return fit


def out_of_fold(
    fit: Fit, data: Sampled, folds: NDArray[np.int64], progress: Callable[[], object]
) -> tuple[Foretold, Predictor]:
    """What a fit to the other folds says of each prompt, and the last of these fits."""
    said: dict[int, Prediction] = {}
    for fold in np.unique(folds):
        predictor = fit(*data.part(np.flatnonzero(folds != fold)))
        said |= {int(row): predictor.predict(data.requests[row]) for row in np.flatnonzero(folds == fold)}
        progress()
    return Foretold.of([said[row] for row in range(len(data.requests))]), predictor


def remember_embeddings(data: Sampled) -> None:
    """Encode all prompts, or take what an earlier command encoded."""
    texts = data.texts()

    def encode(chunk: Sequence[str]) -> NDArray[np.float16]:
        found = encoder.encoder()
        found.forget()
        return found.layers(chunk).astype(np.float16)

    layers = cached("minilm-layers", texts, encode)
    encoder.encoder().remember(texts, layers.astype(np.float32))


def timed(data: Sampled, ask: Callable[[Request], object]) -> float:
    """Median milliseconds of `ask`, over prompts spread evenly over the data, of which nothing is remembered."""
    rows = np.unique(np.linspace(0, len(data.requests) - 1, TIMED).astype(int))
    ask(data.requests[0])
    seconds = []
    for row in rows:
        forget()
        start = time.perf_counter()
        ask(data.requests[row])
        seconds.append(time.perf_counter() - start)
    return 1000 * stats.median(seconds)


def forget() -> None:
    """Let no text be known from before."""
    text_statistics.statistics.cache_clear()
    if encoder.encoder.cache_info().currsize:
        encoder.encoder().forget()


def parse_milliseconds(data: Sampled) -> float:
    """Median milliseconds of the parse and the six rules, one prompt at a time."""
    return timed(data, lambda request: score_texts([str(request.prompt_text)]))
