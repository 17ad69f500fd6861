"""Measure what predicting and scheduling cost on this machine, for the yaml files that charge it to the clock.

python -m experiments.overhead
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from experiments.build import to_requests
from policies.consolidation import Consolidation
from policies.predictors.regression import fit_length_regression
from policies.service_time import ServiceTime
from policies.up import UP
from sim.job import Job
from sim.queue import WaitingQueue
from traces.synthetic.dialogue import SyntheticDialogue
from traces.text.word_rules import rule_scores


def seconds_per_call(call: Callable[[], object], calls: int, repeats: int) -> tuple[float, float, float]:
    """Minimum, median and maximum over `repeats` of the mean seconds of `calls` calls."""
    means = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        means.append((time.perf_counter() - start) / calls)
    return min(means), statistics.median(means), max(means)


def measurements(repeats: int) -> dict[str, tuple[float, float, float]]:
    """Seconds (minimum, median, maximum) of each thing that a yaml charges."""
    table = SyntheticDialogue(rate=1.0, requests=500).replay(np.random.default_rng(0), np.random.default_rng(1))
    requests, texts = to_requests(table), table["prompt_text"].tolist()
    answers = [[tokens] for tokens in table["output_tokens"].tolist()]
    rules = fit_length_regression(requests, answers, prompt_length=True, rules=range(6), seconds=0.0)
    prompt_length = fit_length_regression(requests, answers, prompt_length=True, rules=(), seconds=0.0)
    jobs = [Job(request, rules.predict(request)) for request in requests]
    for job in jobs:
        job.queued = job.request.arrival
    order = UP(ServiceTime(phi=1e-5, eta=1e-3), alpha=1.0)
    batching = Consolidation(batch_size=16, lookahead=1.8, ratio=1.5, max_wait=0.0)
    queue = WaitingQueue(order)
    for job in jobs[1:]:
        queue.push(job, 0.0)

    def score() -> None:
        for text, request in zip(texts, requests, strict=True):
            rule_scores(text)
            rules.predict(request)

    def predict_length() -> None:
        for request in requests:
            prompt_length.predict(request)

    def push() -> None:
        queue.push(jobs[0], 0.0)
        queue.remove(jobs[0])

    def plan() -> None:
        batching.select(queue.head(batching.execution.window), (), 1e9)

    count = len(requests)
    cases = {
        "predictor=rules seconds, a prompt": (score, 1, count),
        "predictor=prompt_length seconds, a prompt": (predict_length, 1, count),
        "policy.overhead.rank_seconds, a job among 500": (push, 500, 1),
        "policy.overhead.decision_seconds, a decision of consolidation": (plan, 500, 1),
    }
    return {
        name: tuple(value / divisor for value in seconds_per_call(call, calls, repeats))  # type: ignore[misc]
        for name, (call, calls, divisor) in tqdm(cases.items(), desc="overhead", unit="case")
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="repetitions, of which the median is quoted")
    for name, (low, middle, high) in measurements(parser.parse_args().repeats).items():
        print(f"{name:60s} {1e6 * middle:9.2f} us  (min {1e6 * low:.2f}, max {1e6 * high:.2f})")


if __name__ == "__main__":
    main()
