"""Gittins's order by samples of the sizes alone: how near it comes to that by their law, beside ratios found before.

    tokenyard engine gittins                                # both laws at both loads: some minutes on a core
    tokenyard engine gittins --runs 0                       # by theory alone: a minute
    tokenyard engine gittins --law 1-6-14 --load 0.8 --json

Who knows the law of the sizes, and no size, has the least mean response by Gittins's index; who knows n sizes that
were drawn from it may take those for the law. Each trial draws them anew. What that costs is told as a ratio, of the
mean response to that by the law itself, in two ways:

mean, median  exact, by SOAP, of the index that the samples of a trial give, where sizes are of the law itself: no noise
              but that of the samples. Over the trials, with standard errors; a few trials in which the samples miss
              much make the mean larger than the median, and less certain.
engine        on the engine, a job at a time, a token a step: the ratio of sums over the first trials, with the
              jackknife's standard error. All orders serve the same arrivals and sizes, of whole busy cycles. At the
              load 0.98 so few jobs are no more than a hint.

`anchor` is the ratio that our notes have of 100 paired trials (arXiv 2606.24703); `within` says of which of our two it
is within two standard errors, its own counted as if its trials spread as ours. FCFS and PLCFS (last come, first served,
with preemption) have no samples: what is told is how far off they are.

The law 1-6-14 is a third each of normal ones with a deviation of 0.5, cut off at 0 [A]: the notes have their means, and
7.06 for the mean of all. With that deviation FCFS and PLCFS are within 0.5 % of the notes' ratios. `truncated` trusts
the shortest samples, a share of `--trusted`, and of jobs that are older serves the last first. What the notes'
truncation is they do not say; no one share meets its four values.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from experiments.engine.golden import IterationTime
from experiments.engine.queueing import means, soap
from experiments.engine.queueing.disciplines import EVERYBODY, ONE_AT_A_TIME, places
from experiments.engine.queueing.laws import LAWS, Floats, Law, Normals
from experiments.engine.queueing.paths import work_found
from experiments.engine.queueing.told import Told, discretized
from policies.eviction.keep import Resident
from policies.order.fifo import FIFO
from policies.order.gittins import Gittins, index_of
from policies.routing.least_loaded import LeastLoaded
from sim import Cluster, Device, Policy, Request, Truth, simulate
from sim.metrics import response_time
from sim.policy import Batching, Order, Predictor
from sim.prediction import Distribution

TOKENS, APART = 200, 4  # of a job of the mean size; between the points by which the true law is told
CELLS = 1000  # of ages, beside the samples: within 0.02 % of three times as many
ANCHORED = 100  # trials behind an anchor
HERE: dict[str, Law] = {"1-6-14": Normals((1.0, 6.0, 14.0), 0.5), "bounded Pareto": LAWS["bounded Pareto"]}
LOADS = 0.8, 0.98
KNOWN = {"n=10": 10, "n=100": 100, "n=1000": 1000, "truncated": 1000}  # samples
ORDERS = "FCFS", "PLCFS", *KNOWN
ANCHORS = {  # queueing.md, section 9
    ("1-6-14", 0.8): (1.085, 1.305, 1.387, 1.044, 1.005, 1.170),
    ("1-6-14", 0.98): (None, None, None, None, 1.057, 1.338),
    ("bounded Pareto", 0.8): (5.14, 1.58, 1.161, 1.046, 1.017, 1.077),
    ("bounded Pareto", 0.98): (10.5, 2.81, 1.573, 1.136, 1.112, 1.089),
}
LEAST = {"trials": 10, "runs": 0, "requests": 100}
COLUMNS = "{:14} {:>4}  {:9} {:>6}  {:>17} {:>17} {:>17}  {}"


@dataclass(frozen=True)
class Estimate:
    """A ratio and its standard error; 0 where it is exact."""

    value: float
    error: float = 0.0

    def __str__(self) -> str:
        return f"{self.value:.4f}" + (f" +- {self.error:.4f}" if self.error else "")


@dataclass(frozen=True)
class Found:
    """What was found of an order at a load, beside the `anchor`; `trials` are those behind `mean` and `median`."""

    law: str
    load: float
    order: str
    anchor: float | None
    mean: Estimate
    median: Estimate
    engine: Estimate | None
    trials: int

    @property
    def within(self) -> str:
        """Which of mean and median the anchor is within the noise of, or how far it is off."""
        if self.anchor is None:
            return ""
        if not self.mean.error:
            return f"{100 * (self.mean.value / self.anchor - 1):+.1f} %"
        wider = 2 * math.sqrt(1 + self.trials / ANCHORED)
        near = [name for name in ("mean", "median") if self._off(name) <= wider * getattr(self, name).error]
        return " and ".join(near) or "neither"

    def _off(self, name: str) -> float:
        assert self.anchor is not None
        return abs(float(getattr(self, name).value) - self.anchor)

    def as_text(self) -> str:
        """One line of the table."""
        median = self.median if self.median.error else ""
        told = self.anchor or "", self.mean, median, self.engine or "", self.within
        return COLUMNS.format(self.law, self.load, self.order, *map(str, told))

    def as_json(self) -> str:
        """One line."""
        named = {"law": self.law, "load": self.load, "order": self.order, "anchor": self.anchor, "within": self.within}
        parts = {"mean": self.mean, "median": self.median, "engine": self.engine}
        return json.dumps({**named, **{name: one and [one.value, one.error] for name, one in parts.items()}})


def draws(law: Law, seed: int) -> dict[str, Floats]:
    """The samples of a trial, s: those of a few are the first of those of many."""
    samples = law.draw(np.random.default_rng([seed, 0]), max(KNOWN.values()))
    return {name: samples[:number] for name, number in KNOWN.items()}


def by_samples(law: Law, load: float, samples: Sequence[float], trusted: float = 1.0) -> float:
    """The exact mean response, s, by the index of `samples` (s)."""
    index = index_of(Distribution.of_atoms(samples), trusted)
    edges = soap.ages(law, index.ages, CELLS)
    return soap.soap(law, load, edges, [index.rank(age) for age in edges[:-1].tolist()])


def path(law: Law, load: float, seed: int, requests: int, tokens: int) -> tuple[Floats, Floats]:
    """Arrivals and sizes, `tokens` a mean size, of whole busy cycles: of `requests` and those behind them."""
    rng = np.random.default_rng([seed, 1])
    gaps = sizes = arrivals = found = np.array([])
    while not (idle := np.flatnonzero(found[requests:] == 0)).size:
        gaps = np.append(gaps, rng.exponential(tokens / load, requests))
        sizes = np.append(sizes, np.maximum(np.rint(law.draw(rng, requests) * tokens / law.mean), 1.0))
        arrivals = np.append(0.0, np.cumsum(gaps[:-1]))
        found = work_found(arrivals, sizes)
    end = requests + int(idle[0])
    return arrivals[:end], sizes[:end]


def served(arrivals: Floats, sizes: Floats, order: Order, batching: Batching, predictor: Predictor) -> Floats:
    """Each job's response on the engine, tokens: one job at a time, a token a step, and a stop costs nothing."""
    jobs = enumerate(zip(arrivals.tolist(), sizes.astype(int).tolist(), strict=True))
    requests = [Request(number, arrival, 1, Truth(size)) for number, (arrival, size) in jobs]
    device = Device("gpu", "gpu", IterationTime(1.0, 0.0), kv_tokens=1 << 40, max_model_len=EVERYBODY)
    policy = Policy(order, batching, LeastLoaded(), Resident())
    return response_time(simulate(requests, policy, Cluster((device,)), predictor).requests)


def one_run(law: Law, load: float, seed: int, requests: int, trusted: float) -> dict[str, float]:
    """The sums of responses on one path, by order; "law" is Gittins's by the law itself."""
    nothing = Distribution.certain(0.0)  # so that every job is older than all that is known
    told = {"PLCFS": nothing, "law": discretized(law, TOKENS, APART)}
    for name, samples in draws(law, seed).items():
        told[name] = Distribution.of_atoms((samples * TOKENS / law.mean).tolist())
    jobs = path(law, load, seed, requests, TOKENS)
    orders = {name: Gittins(trusted if name == "truncated" else 1.0) for name in told}
    sums = {name: served(*jobs, orders[name], ONE_AT_A_TIME, Told(said)).sum() for name, said in told.items()}
    return {"FCFS": served(*jobs, FIFO(), places(1), Told(nothing)).sum(), **sums}


def averaged(ratios: Floats) -> tuple[Estimate, Estimate]:
    """The mean and the median of `ratios`, the error of the latter by a bootstrap."""
    again = np.random.default_rng(0).choice(ratios, (1000, len(ratios)))
    mean = Estimate(float(ratios.mean()), float(ratios.std(ddof=1)) / math.sqrt(len(ratios)))
    return mean, Estimate(float(np.median(ratios)), float(np.median(again, axis=1).std()))


def jackknifed(above: Floats, below: Floats) -> Estimate | None:
    """The ratio of the sums, and its standard error by leaving out a run at a time; None if only one has any."""
    if np.count_nonzero(below) < 2:
        return None
    without = (above.sum() - above) / (below.sum() - below)
    error = math.sqrt((len(above) - 1) * float(np.var(without)))
    return Estimate(float(above.sum() / below.sum()), error)


def found(name: str, load: float, options: argparse.Namespace) -> Iterator[Found]:
    """Every order of a law at a load."""
    law = HERE[name]
    trials, runs = range(options.trials), range(options.runs)
    least = soap.gittins(law, load)
    ratios: dict[str, list[float]] = {order: [] for order in KNOWN}
    for seed in tqdm(trials, desc=f"{name} {load} exact", unit="trial", leave=False):
        for order, samples in draws(law, seed).items():
            trusted = options.trusted if order == "truncated" else 1.0
            ratios[order].append(by_samples(law, load, samples.tolist(), trusted) / least)
    sums = [
        one_run(law, load, seed, options.requests, options.trusted)
        for seed in tqdm(runs, desc=f"{name} {load} engine", unit="run", leave=False)
    ]
    exact = {"FCFS": means.fcfs(law, load) / least, "PLCFS": means.ps(law, load) / least}
    for order, anchor in zip(ORDERS, ANCHORS[name, load], strict=True):
        pair = averaged(np.array(ratios[order])) if order in ratios else (Estimate(exact[order]),) * 2
        both = [np.array([one[which] for one in sums]) for which in (order, "law")]
        engine = jackknifed(*both) if sums else None
        yield Found(name, load, order, anchor, *pair, engine, options.trials)


def main(argv: list[str] | None = None) -> int:
    """Print the table, or a JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--law", action="append", choices=[*HERE], help="this one alone (default: both)")
    parser.add_argument("--load", action="append", type=float, choices=LOADS, help="this one alone (default: both)")
    parser.add_argument("--trials", type=int, default=100, help="with samples of their own (default: 100)")
    parser.add_argument("--runs", type=int, default=20, help="of the trials, on the engine too (default: 20)")
    parser.add_argument("--requests", type=int, default=300, help="of a run, at least (default: 300)")
    parser.add_argument("--trusted", type=float, default=0.99, help="share of `truncated` (default: 0.99, [A])")
    parser.add_argument("--json", action="store_true", help="a JSON object a line instead of the table")
    options = parser.parse_args(argv)
    for name, least in LEAST.items():
        if getattr(options, name) < least:
            parser.error(f"--{name} must be at least {least}, got {getattr(options, name)}")
    if options.runs == 1 or options.runs > options.trials:
        parser.error(f"--runs must be 0, or from 2 to --trials {options.trials}, got {options.runs}")
    if not 0 < options.trusted <= 1:
        parser.error(f"--trusted must be above 0 and at most 1, got {options.trusted}")
    if not options.json:
        print(COLUMNS.format("law", "load", "order", "anchor", "mean", "median", "engine", "within"))
    for law in options.law or HERE:
        for load in options.load or LOADS:
            for one in found(law, load, options):
                print(one.as_json() if options.json else one.as_text(), flush=True)
    return 0
