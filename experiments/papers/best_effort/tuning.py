"""Settings of simple routers, searched for on a learner's workloads, with as many simulated requests as it is given.

    tokenyard tune                                   # all rules, a quarter of an hour; writes results/tune/tuned.json
    tokenyard tune threshold --searches 1            # one rule, one search
    tokenyard tune greedy --given reward=best_effort_soft --output soft.json

Five random searches with successive halving: of all candidates the best third goes on to three times the traces, and so
on; all candidates of a round meet the same ones. From the second search on, half of them are near the best so far.
What is sought is the performance (reward over peak) over all requests. Of so many --requests each search simulates four
fifths or more: as many candidates as all rounds have room for.
Traces are those of learning: of the workloads in turn, at rates spread evenly over the range, which counts a rate drawn
on a logarithmic scale by its requests. Their seeds are from 10,000 on, which no experiment has. What is found stands
in the policies' yamls, by hand; a test holds them against the file that ships.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from experiments.conf import HERE as CONF
from experiments.run.inputs import read_inputs
from experiments.run.measure import measure
from experiments.run.written import write_whole
from experiments.settings.wording import one_line

TUNED = Path(__file__).with_name("tuned.json")
OUTPUT = Path("results/tune/tuned.json")
GIVEN = ("experiment=best_effort/base",)
WORKLOADS = ("best_effort_gamma", "best_effort_mmpp")  # as experiments/conf/learn.yaml has them,
RATES = (10.0, 500.0)  # and its rates, requests/s
REQUESTS = 300_000  # to be simulated in a search, as a training has decisions
SEARCHES = 5  # for each rule, as there are networks
EACH = 3000  # requests of a trace
FIRST_SEED = 10_000
ROUNDS, KEPT = 3, 3  # of so many candidates one goes on, to so many times the traces
FEWEST = KEPT ** (ROUNDS - 1)  # candidates, that one is left
LEAST = FEWEST * ROUNDS * EACH * len(WORKLOADS)
MODELS = ("opt-6.7b", "opt-1.3b", "opt-125m")
TASKS = ("hellaswag", "piqa", "openbookqa", "copa")

Values = dict[str, Any]
Draw = Callable[[np.random.Generator, Values], Values]


@dataclass(frozen=True)
class Rule:
    """A policy, and how values of its routing are drawn, perhaps around what was found for another rule."""

    policy: str
    draw: Draw
    around: str | None = None


def _limits(rng: np.random.Generator, best: Values) -> Values:
    return {"limits": [_rounded(10 ** rng.uniform(0.5, 2.5)) for _ in MODELS[1:]]}


def _of_task(rng: np.random.Generator, best: Values) -> Values:
    """Around the common limits; one in ten is 0: a task that never goes to that model."""
    limits = {
        task: [_rounded(limit * math.exp(rng.normal(0, 0.5)) * (rng.random() > 0.1)) for limit in best["limits"]]
        for task in TASKS
    }
    return best | {"of_task": limits}


def _rates(rng: np.random.Generator, best: Values) -> Values:
    rates = sorted(_rounded(10 ** rng.uniform(1.5, 3)) for _ in MODELS[1:])
    return {"rates": rates, "seconds": float(rng.choice([0.25, 0.5, 1.0, 2.0, 4.0]))}


def _margin(rng: np.random.Generator, best: Values) -> Values:
    return {"margin": _rounded(10 ** rng.uniform(-0.3, 0.5), 3)}


def _rounded(value: float, digits: int = 2) -> float:
    return float(f"{value:.{digits}g}")


RULES = {
    "threshold": Rule("best_effort_threshold", _limits),
    "threshold_by_task": Rule("best_effort_threshold_by_task", _of_task, around="threshold"),
    "rate": Rule("best_effort_rate", _rates),
    "greedy": Rule("best_effort_greedy", _margin),
}


@dataclass(frozen=True)
class Round:
    """What candidates came to over so many traces: the performance of each, the best first."""

    traces: int
    found: list[tuple[float, Values]]


def search(score: Callable[[Values, int], float], candidates: Sequence[Values], traces: int) -> Iterator[Round]:
    """Successive halving; `score` is asked for a candidate's over the first so many traces, the larger the better."""
    left = list(candidates)
    for _ in range(ROUNDS):
        scored = [(score(values, traces), values) for values in left]
        scored.sort(key=lambda one: -one[0])
        yield Round(traces, scored)
        left, traces = [values for _, values in scored[: max(1, len(scored) // KEPT)]], traces * KEPT


def rate(number: int, rates: Sequence[float] = RATES) -> float:
    """Of trace `number`, from 0: spread evenly over the range however many there are (van der Corput's sequence)."""
    digits = f"{number + 1:b}"
    return rates[0] + (rates[1] - rates[0]) * int(digits[::-1], 2) / 2 ** len(digits)


class Traces:
    """A policy on the traces of learning, and its performance on each with other settings of its routing."""

    def __init__(self, policy: str, given: Sequence[str]) -> None:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            of_all = *GIVEN, f"system={policy}"
            of_trace = f"trace.requests={EACH}", "trace.seconds=null", *given
            self.cfgs = [compose("config", [*of_all, f"trace={one}", *of_trace]) for one in WORKLOADS]
        if any(cfg.reward is None for cfg in self.cfgs):
            raise ValueError("without a reward there is no performance to search for")

    def performance(self, values: Values, number: int) -> float:
        """On trace `number`: two in a row have a rate in common."""
        turn, workload = divmod(number, len(WORKLOADS))
        cfg: DictConfig = self.cfgs[workload].copy()
        OmegaConf.set_struct(cfg, False)
        cfg.seed, cfg.trace.rate = FIRST_SEED + number, rate(turn)
        for name, value in values.items():
            cfg.policy.routing[name] = value
        found: Any = measure(cfg, read_inputs(cfg), progress=False)[0]["performance"]
        return float(found)


def near(rng: np.random.Generator, value: Any) -> Any:
    """`value` with each of its numbers some 30 % away; lists of rates stay in order where all their numbers do."""
    if isinstance(value, dict):
        return {name: near(rng, one) for name, one in value.items()}
    if isinstance(value, list):
        moved = [near(rng, one) for one in value]
        return sorted(moved) if value == sorted(value) else moved
    return _rounded(value * math.exp(rng.normal(0, 0.3)), 3)


def candidates(name: str, count: int, rng: np.random.Generator, best: Values, first: bool) -> list[Values]:
    """So many values of rule `name`: what is best so far, and others, near it and, at `first` all, from all over."""
    drawn = [RULES[name].draw(rng, best) for _ in range(count if first else count // 2)]
    return [*([best] if best else []), *(near(rng, best) for _ in range(count - len(drawn))), *drawn][:count]


def searched(
    name: str, requests: int, performance: Callable[[Values, int], float], seed: int, best: Values
) -> dict[str, Any]:
    """The best values of rule `name` that a search with a `seed` finds, and how; `best` is so until then, if any is."""
    rng, least = np.random.default_rng(seed), len(WORKLOADS)
    count = requests // (ROUNDS * EACH * least)
    simulated = 0
    with tqdm(unit="run", desc=f"{name}, search {seed}", disable=None) as bar:

        def score(values: Values, number: int) -> float:
            nonlocal simulated
            bar.update(number)
            simulated += EACH * number
            return math.fsum(performance(values, one) for one in range(number)) / number

        rounds = [*search(score, candidates(name, count, rng, best, seed == 0), least)]
    reached, values = rounds[-1].found[0]
    told = [
        {"traces": one.traces, "candidates": len(one.found), "best": [round(score, 4) for score, _ in one.found[:3]]}
        for one in rounds
    ]
    return {"seed": seed, "values": values, "performance": round(reached, 4), "requests": simulated, "rounds": told}


def tuned(name: str, requests: int, searches: int, given: Sequence[str], known: Mapping[str, Any]) -> dict[str, Any]:
    """The best values of rule `name` of several searches, with all of these and what they were for."""
    rule = RULES[name]
    best: Values = known[rule.around]["values"] if rule.around else {}
    performance, found = Traces(rule.policy, given).performance, list[dict[str, Any]]()
    for seed in range(searches):
        found.append(searched(name, requests, performance, seed, best))
        best = max(found, key=lambda one: float(one["performance"]))["values"]
    return {
        "values": best,
        "performance": max(one["performance"] for one in found),
        "searches": found,
        "policy": rule.policy,
        "given": [*GIVEN, *given],
        "workloads": list(WORKLOADS),
        "rates": list(RATES),
        "date": datetime.now(UTC).date().isoformat(),
    }


def main(arguments: list[str] | None = None) -> int:
    """Search for what `arguments` name, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rules", nargs="*", metavar="RULE", help=f"of {', '.join(RULES)} (default: all)")
    parser.add_argument("--requests", type=int, default=REQUESTS, help=f"to simulate in each (default {REQUESTS:,})")
    parser.add_argument("--searches", type=int, default=SEARCHES, help=f"with seeds of their own (default {SEARCHES})")
    parser.add_argument("--given", action="append", default=[], metavar="SETTING", help="of every run, as reward=NAME")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"the file (default {OUTPUT}; {TUNED.name} ships)")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.rules if name not in RULES]:
        parser.error(f"no rule {', '.join(unknown)}: there are {', '.join(RULES)}")
    if options.searches < 1:
        parser.error(f"--searches must be at least 1, got {options.searches}")
    if options.requests < LEAST:
        parser.error(f"--requests must be at least {LEAST:,}, of {FEWEST} candidates, got {options.requests:,}")
    names = options.rules or [*RULES]
    try:
        Traces(RULES[names[0]].policy, options.given)
    except (ValueError, HydraException) as error:
        parser.error(f"--given {' '.join(options.given)}: {one_line(error)}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    found = json.loads(options.output.read_text(encoding="utf-8")) if options.output.exists() else {}
    for name in names:
        around = RULES[name].around
        if around and around not in found:
            parser.error(f"{name} is drawn around what was found for {around}: search for that first")
        found[name] = tuned(name, options.requests, options.searches, options.given, found)
        write_whole(options.output, json.dumps(found, indent=1) + "\n")
        print(f"{name}: {json.dumps(found[name]['values'])}, performance {found[name]['performance']}")
    print(f"written to {options.output}", file=sys.stderr)
    return 0
