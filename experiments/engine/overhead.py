"""Measure what predicting and scheduling cost on this machine, for the yaml files that charge it to the clock.

    taskset -c 0 env OMP_NUM_THREADS=1 tokenyard engine overhead

Needs pip install -e '.[text]': prompts are scored on chat messages of the package chitchat-dataset, and on longer ones
made of `LONG` of them each.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from experiments.engine.cases import CASES, parts
from policies.batching.consolidation import Consolidation
from policies.order.service_time import ServiceTime
from policies.order.up import UP
from policies.predictor.regression import fit_length_regression
from sim import Scheduler
from sim.job import Job
from traces.requests import to_requests
from traces.synthetic.dialogue import SyntheticDialogue
from traces.text import chitchat, word_rules
from traces.text.parser import UnknownModelError, parse
from traces.text.rules import RULES
from traces.text.scoring import rule_scores

if TYPE_CHECKING:
    from spacy.tokens import Doc

SHORT, LONG = 200, 15  # chat messages to score; messages that make a long prompt
Case = tuple[Callable[[], object], int, int]  # what is called, how often, and what is done in each call


def seconds_per_call(call: Callable[[], object], calls: int, repeats: int) -> tuple[float, float, float]:
    """Minimum, median and maximum over `repeats` of the mean seconds of `calls` calls."""
    means = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(calls):
            call()
        means.append((time.perf_counter() - start) / calls)
    return min(means), statistics.median(means), max(means)


def each(call: Callable[[Any], object], items: Sequence[Any]) -> list[object]:
    """`call` of each of `items`, one at a time."""
    return [call(item) for item in items]


def parsed(texts: Sequence[str]) -> list[Doc]:
    """The parses of `texts`, made at once."""
    return list(parse(texts))


def text_cases() -> dict[str, Case]:
    """Scoring prompts by both scorers, and its parts: for rules.yaml, the parse and the rules one prompt at a time."""
    messages = chitchat.messages()
    chosen = chitchat.candidates()
    short = [messages[key] for key in np.random.default_rng(2).permutation(chosen)[:SHORT]]
    long = [" ".join(short[at : at + LONG]) for at in range(0, SHORT - LONG, LONG)]
    cases: dict[str, Case] = {}
    for name, texts in (("chat message", short), ("long prompt", long)):
        words = sum(len(text.split()) for text in texts) / len(texts)
        named, docs, count = f"a {name} of {words:.0f} words", parsed(texts), len(texts)
        calls: dict[str, Callable[[], object]] = {
            f"rule_scores, {named}": partial(each, rule_scores, texts),
            f"its parse, alone, {named}": partial(each, lambda text: parsed([text]), texts),
            f"its parse, {count} at once, {named}": partial(parsed, texts),
            f"its rules after the parse, {named}": partial(each, lambda doc: [rule(doc) for rule in RULES], docs),
            f"word lists, {named}": partial(each, word_rules.rule_scores, texts),
        }
        cases |= {label: (call, 1, count) for label, call in calls.items()}
    return cases


def measurements(repeats: int) -> dict[str, tuple[float, float, float]]:
    """Seconds (minimum, median, maximum) of each thing that a yaml charges."""
    table = SyntheticDialogue(rate=1.0, requests=500).replay(np.random.default_rng(0), np.random.default_rng(1))
    requests = to_requests(table)
    answers = [[tokens] for tokens in table["output_tokens"].tolist()]
    rules = fit_length_regression(requests, answers, prompt_length=True, rules=range(6), seconds=0.0)
    prompt_length = fit_length_regression(requests, answers, prompt_length=True, rules=(), seconds=0.0)
    jobs = [Job(request, rules.predict(request)) for request in requests]
    for job in jobs:
        job.queued = job.request.arrival
    order = UP(ServiceTime(phi=1e-5, eta=1e-3), alpha=1.0)
    batching = Consolidation(batch_size=16, lookahead=1.8, ratio=1.5, max_wait=0.0)
    policy, cluster = parts(CASES["azure"])
    queue = Scheduler(cluster.devices[0], replace(policy, order=order, batching=batching)).waiting
    first, *others = sorted(jobs, key=lambda job: order.rank(job, 0.0))
    for job in others:
        queue.push(job, 0.0)

    def predict_of_rules() -> None:
        for request in requests:
            rules.predict(request)

    def predict_length() -> None:
        for request in requests:
            prompt_length.predict(request)

    def push() -> None:
        queue.push(first, 0.0)
        queue.remove(first, 0.0)

    def plan() -> None:
        batching.select(queue.head(), (), 1e9)

    count = len(requests)
    cases: dict[str, Case] = {
        **text_cases(),
        "predictor=rules seconds less the scores', a prompt": (predict_of_rules, 1, count),
        "predictor=prompt_length seconds, a prompt": (predict_length, 1, count),
        "policy.overhead.rank_seconds, a job among 500": (push, 500, 1),
        "policy.overhead.decision_seconds, a decision of consolidation": (plan, 500, 1),
    }
    found = {}
    for name, (call, calls, done) in tqdm(cases.items(), desc="overhead", unit="case"):
        low, middle, high = seconds_per_call(call, calls, repeats)
        found[name] = low / done, middle / done, high / done
    return found


def main(arguments: list[str] | None = None) -> int:
    """Measure and print; 1, with one line on stderr, without the text extra."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="repetitions, of which the median is quoted")
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error(f"--repeats must be at least 1, got {options.repeats}")
    try:
        found = measurements(options.repeats)
    except (ModuleNotFoundError, UnknownModelError) as error:
        print(f"tokenyard engine overhead: {error}", file=sys.stderr)
        return 1
    for name, (low, middle, high) in found.items():
        print(f"{name:64s} {1e6 * middle:9.2f} us  (min {1e6 * low:.2f}, max {1e6 * high:.2f})")
    return 0
