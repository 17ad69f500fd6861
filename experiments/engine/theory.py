"""The engine against queueing theory: mean responses, simulated and exact, of queues that a replica can be.

    tokenyard engine theory                                # every queue: a quarter of an hour on 2 cores
    tokenyard engine theory --policy SJF --policy PS       # those alone
    tokenyard engine theory --requests 2000 --json         # shorter runs; an object a line

A step gives each running job a token. The mean size is 1,000 tokens; a size is rounded to the nearest whole token, and
is at least one: by that the first two moments change by less than a millionth. Where a step takes as long for many jobs
as for one, the places of a batch are so many servers; where it takes as long as its jobs in turn, they share one
processor. A job that comes during a step waits for its end: half a token more where there are several servers, and for
one that would preempt at most half a token over 1 - load, so 0.05 % and 0.2 % of the mean responses in the table;
turns in place of a shared processor are within 0.05 %.

A run of one server is of whole busy cycles: it begins empty, and ends when a job finds nobody after so many; so a mean
over jobs has no bias of a beginning or an end. With several servers a tenth warms up. By chance a run draws other gaps
and sizes than the laws say, which is taken out by regression (control variates): the sums of the gaps', sizes' and
squared sizes' errors, and of the first two times the work that the job finds in one server of the same speed, and times
the number of jobs that it finds; where sizes are guessed, also of the guess's luck times the squared size, and times
the size and that work. All have mean 0 because gaps, sizes and guesses know nothing of what was before them; no formula
of queues is used.

Where jobs call out, twice a job on average and for thrice the mean size, responses are without the calls, and a tenth
warms up; a tenth more jobs come behind those that are measured.

FB is by quanta of a tenth of the mean size, and so is its theory. Gittins's order is told the law of the sizes, which
is straight between points a tenth of the mean size apart: by that its mean is less than 0.01 % above that by the law
itself, which is its theory (SOAP). SPRPT is the shortest predicted remaining time first without preemption from a share
of the prediction on; 0.0 is SJF and 1.0 SRPT, for known sizes.

One more is a line of `queueing.disciplines`, and its name in `EVERYWHERE` here. --runs is at least 10: of so few, or of
short ones, standard errors are rough, and a row may differ by chance.

Seeds are fixed: the same command prints the same. The load is that of a server; of M/G/infinity, the jobs that are
there at a time. A row strays if the simulated mean is further from the exact one than 1 % and 2 standard errors, and
differs beyond 1 % and 4. Exit code 1 if one differs, if more than three stray, or if the work in several servers is
ever less than that in one as fast, or more by servers - 1 of the longest jobs.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing import get_context

import numpy as np
from scipy.special import stdtrit
from tqdm import tqdm

from experiments.engine.queueing.calls import Pauses
from experiments.engine.queueing.disciplines import DISCIPLINES, EVERYBODY, SHARES, TOKENS, Discipline, limited
from experiments.engine.queueing.laws import LAWS, Floats, Law
from experiments.engine.queueing.paths import excess, work_found
from policies.eviction.keep import Resident
from policies.routing.least_loaded import LeastLoaded
from sim import Cluster, Device, Policy, Request, Tables, Truth, simulate
from sim.metrics import serving_time
from sim.record import Table

WARM_UP = 0.1  # share of a run's requests, where a run is not of whole busy cycles
BEHIND = 100  # that come behind those that are measured, where jobs call out: or a tenth, if that is more
NEAR, STRAYS = 0.01, 3  # a share of the exact mean; rows
CONFIDENCE = 0.99  # of the interval that is shown
EFFORT = {0.5: 0.3, 0.8: 0.6, 0.9: 1.0, 8.0: 1.0}  # share of the requests that a run of each load is of
HEAVY = "H2", "bounded Pareto"  # sizes that vary much

COLUMNS = "{:15} {:>4}  {:17} {:>9} {:>7} {:>19} {:>9}  {}"


@dataclass(frozen=True)
class Row:
    """A queue whose mean response theory knows."""

    law: str
    load: float
    policy: str

    @property
    def sizes(self) -> Law:
        """Of the jobs, s."""
        return LAWS[self.law]

    @property
    def discipline(self) -> Discipline:
        """Who is served when."""
        return DISCIPLINES[self.policy]

    @cached_property
    def exact(self) -> float:
        """The mean response in theory, s."""
        return self.discipline.exact(self.sizes, self.load)

    @property
    def gap(self) -> float:
        """The mean time between arrivals, tokens."""
        busy = self.load if self.discipline.servers == EVERYBODY else self.load * self.discipline.servers
        return TOKENS / busy

    @property
    def effort(self) -> float:
        """The requests of a run, as a share of those that are asked for."""
        queue = self.discipline
        return EFFORT[self.load] * queue.effort * (queue.heavy if self.law in HEAVY else 1.0)

    def drawn(self, seed: int, requests: int) -> tuple[Floats, Floats, Floats]:
        """Gaps (each after its job) and sizes of a run, and the work found, tokens: `requests` and those behind them.

        The run ends before the first job that would find one server idle which is as fast as all of them; where jobs
        call out, when enough have come behind.
        """
        rng = np.random.default_rng([seed, *f"{self.law} {self.load} {self.policy}".encode()])
        gaps = sizes = found = np.array([])
        behind = 0 if self.discipline.calls is None else max(BEHIND, requests // 10)
        while not (idle := np.flatnonzero(found[requests + behind :] == 0)).size:
            gaps = np.append(gaps, rng.exponential(self.gap, requests))
            sizes = np.append(sizes, self.sizes.draw(rng, requests) * (TOKENS / self.sizes.mean))
            sizes = np.maximum(np.rint(sizes), 1.0)
            found = work_found(np.append(0.0, np.cumsum(gaps[:-1])), sizes, self.discipline.servers)
        end = requests + behind + int(idle[0])
        return gaps[:end], sizes[:end], found[:end]

    def calls(self, sizes: Floats, seed: int) -> list[Pauses]:
        """Those of jobs of these sizes, tokens, in run `seed`."""
        if (calls := self.discipline.calls) is None:
            return [()] * len(sizes)
        rng = np.random.default_rng([seed, *f"calls {self.law} {self.load} {self.policy}".encode()])
        return calls.draw(rng, sizes, TOKENS)

    def serve(self, gaps: Floats, sizes: Floats, seed: int) -> Tables:
        """What the replica does in run `seed`; its second is a token's time."""
        arrivals = np.append(0.0, np.cumsum(gaps[:-1])).tolist()
        jobs = enumerate(zip(arrivals, sizes.astype(int).tolist(), self.calls(sizes, seed), strict=True))
        requests = [Request(number, arrival, 1, Truth(size, (), calls)) for number, (arrival, size, calls) in jobs]
        queue = self.discipline
        device = Device("gpu", "gpu", queue.step, kv_tokens=1 << 40, max_model_len=EVERYBODY)
        policy = Policy(queue.order, queue.batching, LeastLoaded(), Resident())
        return simulate(requests, policy, Cluster((device,)), queue.predictor(seed, self.sizes))


EVERYWHERE = "FCFS", "SJF", "PSJF", "SRPT", "FB", "PS", "SPRPT 0.5", "SPRPT 0.5 guessed"  # at each load
ROWS = [
    *(Row(law, load, policy) for policy in EVERYWHERE for law in LAWS for load in (0.5, 0.8, 0.9)),
    *(Row(law, load, "Gittins") for law in LAWS for load in (0.5, 0.8)),
    *(Row(law, 0.8, policy) for c in SHARES for policy in limited(c) if c != 0.5 for law in ("Exp", "bounded Pareto")),
    *(Row("Exp", load, policy) for policy in ("FCFS, calls", "M/M/4", "M/M/16") for load in (0.5, 0.8, 0.9)),
    *(Row(law, load, "PS, calls") for law in LAWS for load in (0.5, 0.8)),
    *(Row(law, 8.0, "M/G/infinity") for law in LAWS),
]


@dataclass(frozen=True)
class Run:
    """Sums over the measured jobs of a run: their number, responses (s), and the control variates."""

    jobs: int
    responses: float
    controls: tuple[float, ...]
    bounded: bool = True  # the work in several servers, by that in one as fast


def summed(
    row: Row, gaps: Floats, sizes: Floats, found: Floats, met: Floats, predicted: Floats, responses: Floats
) -> Run:
    """The sums of what a run of `row` drew and what became of it, all in tokens."""
    gap, size, found, square = gaps / row.gap - 1, sizes / TOKENS - 1, found / TOKENS, (sizes / TOKENS) ** 2
    luck = 0.0 if (mean := row.discipline.luck) is None else np.exp(-predicted / sizes) - mean
    squares = square - row.sizes.moment(2) / row.sizes.mean**2
    known = gap, size, squares, found * gap, found * size, met * gap, met * size
    controls = *known, square * luck, found * (size + 1) * luck
    total = float(responses.sum()) / TOKENS * row.sizes.mean
    return Run(len(sizes), total, tuple(float(control.sum()) for control in controls))


def jobs_met(arrivals: Floats, finishes: Floats) -> Floats:
    """How many jobs each finds at its arrival; `arrivals` do not fall."""
    return np.arange(0.0, len(arrivals)) - np.searchsorted(np.sort(finishes), arrivals, "right")


def one_run(row: Row, seed: int, requests: int) -> Run:
    """Draw, serve and sum up."""
    gaps, sizes, found = row.drawn(seed, requests)
    table = row.serve(gaps, sizes, seed).requests
    number = row.discipline.servers
    calls = row.discipline.calls is not None
    since, end = 0 if number == 1 and not calls else int(WARM_UP * requests), requests if calls else len(gaps)
    met = jobs_met(table["arrival"], table["finished"])
    columns = gaps, sizes, found, met, table["predicted_tokens"], serving_time(table)
    run = summed(row, *(column[since:end] for column in columns))
    return replace(run, bounded=number in (1, EVERYBODY) or within(table, number))


def within(table: Table, servers: int) -> bool:
    """Whether the work of so many servers keeps to its bound; who comes in a step waits for its end."""
    least, most = excess(table["arrival"], table["first_scheduled"], table["finished"], servers)
    bound = (servers - 1) * table["output_tokens"].max() + servers
    return least > -1e-6 * bound and most < (1 + 1e-6) * bound


@dataclass(frozen=True)
class Comparison:
    """The mean response of a row as simulated, s, from independent runs; its error has so many `degrees`."""

    row: Row
    simulated: float
    standard_error: float
    degrees: int
    bounded: bool = True

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of the simulated mean, s."""
        half = float(stdtrit(self.degrees, 0.5 + CONFIDENCE / 2)) * self.standard_error
        return self.simulated - half, self.simulated + half

    @property
    def verdict(self) -> str:
        """How the simulated mean compares to the exact one."""
        if not self.bounded:
            return "work out of bounds"
        off = abs(self.simulated - self.row.exact)
        near, errors = NEAR * self.row.exact, off / self.standard_error
        return "agrees" if off <= near or errors <= 2 else "strays" if errors <= 4 else "differs"

    def as_text(self) -> str:
        """One line of the table."""
        row, (low, high) = self.row, self.interval
        simulated, error, exact = (f"{value:.4f}" for value in (self.simulated, self.standard_error, row.exact))
        found = simulated, error, f"{low:.4f} to {high:.4f}", exact, self.verdict
        return COLUMNS.format(row.law, row.load, row.policy, *found)

    def as_json(self) -> str:
        """One line."""
        named = {"law": self.row.law, "load": self.row.load, "policy": self.row.policy}
        found = {"simulated": self.simulated, "standard_error": self.standard_error, "interval": self.interval}
        return json.dumps({**named, **found, "exact": self.row.exact})


def compared(row: Row, runs: Sequence[Run]) -> Comparison:
    """The ratio of the sums of responses and of jobs over the `runs`, with what is known of the draws taken out.

    That is a regression of responses on jobs and controls without a constant, a run weighing as 1 / its jobs.
    """
    weights = 1 / np.sqrt([run.jobs for run in runs])
    known = np.array([[run.jobs, *run.controls] for run in runs]) * weights[:, None]
    responses = np.array([run.responses for run in runs]) * weights
    fit, _, rank, _ = np.linalg.lstsq(known, responses)
    degrees = len(runs) - int(rank)
    spread = ((responses - known @ fit) ** 2).sum() / degrees * np.linalg.pinv(known.T @ known)[0, 0]
    return Comparison(row, float(fit[0]), float(np.sqrt(spread)), degrees, all(run.bounded for run in runs))


def comparisons(rows: Sequence[Row], runs: int, requests: int) -> Iterator[Comparison]:
    """Each of the rows, by so many runs of so many requests, times its effort; a process a core."""
    tasks = [(row, seed, round(requests * row.effort)) for row in rows for seed in range(runs)]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        found = pool.map(one_run, *zip(*tasks, strict=True))
        shown = tqdm(found, desc="theory", unit="run", total=len(tasks))
        for row, together in itertools.groupby(zip(tasks, shown, strict=True), key=lambda one: one[0][0]):
            yield compared(row, [run for _, run in together])


def main(argv: list[str] | None = None) -> int:
    """Print the table, or a JSON object a line; 1 if what was found is not as theory says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policy", action="append", choices=[*DISCIPLINES], help="its rows alone (default: all rows)")
    parser.add_argument("--requests", type=int, default=5000, help="of each run at the load 0.9 (default: 5000)")
    parser.add_argument("--runs", type=int, default=40, help="independent runs of each row (default: 40)")
    parser.add_argument("--json", action="store_true", help="a JSON object a line instead of the table")
    options = parser.parse_args(argv)
    for name, least in (("requests", 100), ("runs", 10)):
        if getattr(options, name) < least:
            parser.error(f"--{name} must be at least {least}, got {getattr(options, name)}")
    if not options.json:
        print(COLUMNS.format("law", "load", "policy", "simulated", "s.e.", "99 % interval", "exact", "verdict"))
    verdicts = []
    rows = [row for row in ROWS if row.policy in (options.policy or DISCIPLINES)]
    for found in comparisons(rows, options.runs, options.requests):
        tqdm.write(found.as_json() if options.json else found.as_text())
        verdicts.append(found.verdict)
    return 1 if {*verdicts} - {"agrees", "strays"} or verdicts.count("strays") > STRAYS else 0
