"""Our values for TRAIL's claims, from stored results: what claims.yaml names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from hydra.utils import instantiate
from omegaconf import OmegaConf

from experiments.claims import Found
from experiments.conf import HERE as CONF
from experiments.figures.stored import Stored, of
from experiments.papers.size_based.times import as_times, percent, times
from experiments.tables.stats import change, interval
from policies.predictor.trail import Trail
from sim import Request, Truth

SETTINGS = ("trace.rate", "policy.batching.share", "predictor.sigma", "predictor.every", "predictor.correlation")
RATES, SHARES = "size_based/trail_rates", "size_based/trail_c"
CORRELATIONS = (0.0, 0.5, 1.0)  # [A] of the errors of a request's observations
SAMPLED = 300  # requests of each seed whose predictions are judged

Errors = Callable[[Trail, Request], list[float]]


def times_lower(stored: Stored, metric: str, system: str = "trail") -> list[Found]:
    """How many times lower `metric` is under `system` than under vLLM's first come, first served, by rate."""
    table = stored.table(RATES)
    return [
        Found(f"{rate:g} requests/s", times(of(rows, system="vllm"), of(rows, system=system), metric))
        for rate, rows in table.groupby("trace.rate")
    ]


def without_preemption(stored: Stored, eviction: str) -> list[Found]:
    """By how many percent the mean response time at c = 0 differs from that at each other c, averaged over rates."""
    return _shares(stored, eviction, [(0.0, c) for c in (0.2, 0.5, 0.8, 1.0)])


def limited_beside_unlimited(stored: Stored, eviction: str) -> list[Found]:
    """By how many percent the mean response time at c = 0.8 differs from that at c = 1, by rate."""
    return _shares(stored, eviction, [(0.8, 1.0)])


def _shares(stored: Stored, eviction: str, pairs: Sequence[tuple[float, float]]) -> list[Found]:
    table = of(stored.table(SHARES), **{"policy/eviction": eviction})
    return [
        Found(
            f"c = {one:g} beside {other:g}, {rate:g} requests/s",
            percent(
                of(rows, policy__batching__share=one), of(rows, policy__batching__share=other), "response_time_mean"
            ),
        )
        for rate, rows in table.groupby("trace.rate")
        for one, other in pairs
    ]


def error_of_prompt(stored: Stored) -> list[Found]:
    """The mean absolute error of the first guess, tokens."""
    return [Found("", interval(_mean_errors(stored, guessed, 0.0)))]


def error_of_observation(stored: Stored) -> list[Found]:
    """The mean absolute error of a request's first observation, tokens."""
    return [Found("", interval(_mean_errors(stored, partial(refined, once=True), 0.0)))]


def error_of_prompt_over_refined(stored: Stored) -> list[Found]:
    """How many times lower the mean absolute error of the refined predictions is than the prompt's, over observations.

    The prompt's prediction is counted down to no less than 0.
    """
    found = []
    for level in CORRELATIONS:
        prompt, late = (_mean_errors(stored, errors, level) for errors in (counted_down, refined))
        more = change(prompt, late)
        found.append(Found(f"correlation {level:g}", as_times(more)))
    return found


def guessed(trail: Trail, request: Request) -> list[float]:
    """The absolute error of the first guess, tokens."""
    return [abs(trail.predict(request).length - request.truth.output_tokens)]


def counted_down(trail: Trail, request: Request) -> list[float]:
    """The absolute errors of the first guess less the tokens that came, at each observation but the first."""
    length, guess = request.truth.output_tokens, trail.predict(request).length
    return [abs(max(0.0, guess - emitted) - (length - emitted)) for emitted in range(trail.every, length, trail.every)]


def refined(trail: Trail, request: Request, once: bool = False) -> list[float]:
    """The absolute errors of what is left as refined, at each observation but the first, or (`once`) at that alone."""
    length, prediction = request.truth.output_tokens, trail.predict(request)
    at = [1] if once else range(trail.every, length, trail.every)
    return [abs(trail.refine(request, prediction, emitted) - (length - emitted)) for emitted in at]


def _mean_errors(stored: Stored, errors: Errors, correlation: float) -> list[float]:
    """The mean of `errors` over the first requests of TRAIL's runs, one for each seed."""
    runs = of(stored.table(RATES), system="trail", trace__rate=10)
    yaml = OmegaConf.load(CONF / "predictor" / "trail.yaml")
    means = []
    for run, seed in sorted(zip(runs["run"], runs["seed"], strict=True), key=lambda one: one[1]):
        trail = instantiate(OmegaConf.merge(yaml, {"seed": int(seed), "correlation": correlation}))
        rows = stored.requests(RATES, run, ["id", "output_tokens"]).head(SAMPLED)
        requests = [
            Request(int(number), 0.0, 1, Truth(int(length)), max_tokens=512)
            for number, length in rows.itertuples(index=False)
        ]
        means.append(float(np.mean([error for request in requests for error in errors(trail, request)])))
    return means
