"""The tail of the response time under gamma-Boost against that of first come, first served: in theory, on the engine.

    tokenyard engine boost                                  # four laws of sizes at the load 0.8: some minutes on a core
    tokenyard engine boost --runs 0                         # by theory alone: a second
    tokenyard engine boost --law H2 --requests 20000 --json

Where sizes have light tails, the chance of a response longer than t falls as C exp(-gamma t), where gamma solves
gamma = r (E[exp(gamma S)] - 1) at r arrivals per second. No order has a larger gamma than first come, first served;
orders differ in C. gamma-Boost (Yu and Scully, arXiv 2404.08826) serves by arrival less b = ln(M / (M - 1)) / gamma,
where M is E[exp(gamma S)] of what is known of a size: the size itself, or its class. Two classes meet at the mean size,
three at half of it and twice of it. It is not preemptive.

A ratio is that of two chances to be longer than t, an order's to that of first come, first served, on the same arrivals
and sizes, with the jackknife's standard error over runs of whole busy cycles. The t of P99 and P99.9 are those of
first come, first served, by C exp(-gamma t). `theory` is the ratio of the C, which the others tend to. `rate` is the
decay from one t to the other, as a share of gamma: 1 where it is kept. `observed` is the gamma that the slope between
P95 and P99 of first come, first served, gives, as a share of the true one: so it is found where nobody knows a law.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from experiments.engine.gittins import Estimate, jackknifed, path, served
from experiments.engine.queueing import tails
from experiments.engine.queueing.disciplines import ONE_AT_A_TIME, places
from experiments.engine.queueing.laws import LAWS, Floats, Law
from experiments.engine.queueing.told import Classed, discretized
from policies.order.boost import Boost
from policies.order.fifo import FIFO
from policies.order.service_time import ServiceTime
from policies.order.srpt import SRPT
from policies.predictor.oracle import OraclePredictor
from sim.policy import Batching, Order, Predictor

LIGHT = "Exp", "Erlang-2", "Uniform", "H2"
LOAD = 0.8
TOKENS, APART = 1000, 20  # of a job of the mean size; between the points of a class's law
KNOWN: dict[str, tuple[float, ...] | None] = {"known": None, "3 classes": (0.5, 2.0), "2 classes": (1.0,)}  # mean sizes
FARTHEST = 0.01, 0.001  # chances to be longer
ORDERS = "FCFS", *KNOWN, "SRPT"
LEAST = {"runs": 0, "requests": 100}
COLUMNS = "{:9} {:10} {:>7}  {:>17} {:>17} {:>6} {:>8}"


@dataclass(frozen=True)
class Found:
    """What was found of an order: ratios of chances to be longer, in theory and at P99 and P99.9."""

    law: str
    order: str
    theory: float | None
    ratios: tuple[Estimate | None, ...]  # None: too few were so long
    rate: float | None
    observed: float | None

    def as_text(self) -> str:
        """One line of the table."""
        numbers = self.theory, self.rate, self.observed
        theory, rate, observed = ("" if one is None else f"{one:.3f}" for one in numbers)
        ratios = ["few" if one is None else str(one) for one in self.ratios] or ["", ""]
        return COLUMNS.format(self.law, self.order, theory, *ratios, rate, observed)

    def as_json(self) -> str:
        """One line."""
        ratios = [one and [one.value, one.error] for one in self.ratios]
        named = {"law": self.law, "order": self.order, "theory": self.theory, "ratios": ratios}
        return json.dumps({**named, "rate": self.rate, "observed": self.observed})


def within(law: Law, bounds: tuple[float, ...]) -> tuple[float, ...]:
    """Those bounds that are sizes (mean sizes)."""
    return tuple(bound for bound in bounds if law.survival(bound * law.mean) > 0)


def parts(law: Law) -> dict[str, tuple[Order, Batching, Predictor]]:
    """What makes the engine serve so, where a second is a token."""
    gamma = tails.decay(law, LOAD) * law.mean / TOKENS
    boost, one, told = Boost(gamma, ServiceTime(0.0, 1.0)), places(1), discretized(law, TOKENS, APART)
    oracle = OraclePredictor()
    found: dict[str, tuple[Order, Batching, Predictor]] = {"FCFS": (FIFO(), one, oracle)}
    for name, bounds in KNOWN.items():
        cut = () if bounds is None else tuple(bound * TOKENS for bound in within(law, bounds))
        found[name] = boost, one, oracle if bounds is None else Classed.of(told, cut)
    return {**found, "SRPT": (SRPT(), ONE_AT_A_TIME, oracle)}


def in_theory(law: Law, order: str) -> float | None:
    """The tail constant as a share of that under first come, first served; None where it is not known here."""
    if order not in KNOWN:
        return 1.0 if order == "FCFS" else None
    bounds = KNOWN[order]
    return tails.boosted(law, LOAD, None if bounds is None else [one * law.mean for one in within(law, bounds)])


def found(name: str, runs: int, requests: int) -> Iterator[Found]:
    """Every order of a law."""
    law = LAWS[name]
    gamma, constant = tails.decay(law, LOAD) * law.mean / TOKENS, tails.fcfs_constant(law, LOAD)
    at = np.array([math.log(constant / chance) / gamma for chance in FARTHEST])
    longer: dict[str, list[Floats]] = {order: [] for order in ORDERS}
    observed = []
    for seed in tqdm(range(runs), desc=name, unit="run", leave=False):
        jobs = path(law, LOAD, seed, requests, TOKENS)
        for order, (rank, batching, predictor) in parts(law).items():
            responses = served(*jobs, rank, batching, predictor)
            longer[order].append((responses[:, None] > at).sum(0).astype(float))
            if order == "FCFS":
                observed.append(responses)
    for order in ORDERS:
        theory = in_theory(law, order)
        if not runs:
            yield Found(name, order, theory, (), None, None)
            continue
        ours, theirs = np.array(longer[order]), np.array(longer["FCFS"])
        ratios = tuple(jackknifed(*pair) for pair in zip(ours.T, theirs.T, strict=True))
        near, far = ours.sum(0)
        rate = math.log(near / far) / ((at[1] - at[0]) * gamma) if far > 0 else None
        slope = tails.observed_decay(np.concatenate(observed)) / gamma if order == "FCFS" else None
        yield Found(name, order, theory, ratios, rate, slope)


def main(argv: list[str] | None = None) -> int:
    """Print the table, or a JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--law", action="append", choices=LIGHT, help="this one alone (default: all)")
    parser.add_argument("--runs", type=int, default=10, help="on the engine (default: 10)")
    parser.add_argument("--requests", type=int, default=5000, help="of a run, at least (default: 5000)")
    parser.add_argument("--json", action="store_true", help="a JSON object a line instead of the table")
    options = parser.parse_args(argv)
    for name, least in LEAST.items():
        if getattr(options, name) < least:
            parser.error(f"--{name} must be at least {least}, got {getattr(options, name)}")
    if options.runs == 1:
        parser.error("--runs must be 0 or at least 2, got 1")
    if not options.json:
        print(COLUMNS.format("law", "order", "theory", "P99", "P99.9", "rate", "observed"))
    for law in options.law or LIGHT:
        for one in found(law, options.runs, options.requests):
            print(one.as_json() if options.json else one.as_text(), flush=True)
    return 0
