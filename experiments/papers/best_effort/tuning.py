"""Settings of simple routers, searched for on a learner's workloads, with as many simulated requests as it is given.

    tokenyard tune                                   # all rules; writes experiments/papers/best_effort/tuned.json
    tokenyard tune threshold --requests 50000        # one rule, a smaller search
    tokenyard tune greedy --given reward=best_effort_soft --output soft.json

A random search with successive halving: of all candidates the best third goes on to three times the traces, and so on;
all candidates of a round meet the same ones. What is sought is the performance (reward over peak) over all requests.
Traces are those of learning: of the workloads in turn, at rates spread evenly over the range, which counts a rate drawn
on a logarithmic scale by its requests. Their seeds are from 10,000 on, which no experiment has. What is found stands
in the policies' yamls, by hand; a test holds them against the file.
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
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from experiments.conf import HERE as CONF
from experiments.run.inputs import read_inputs
from experiments.run.measure import measure
from experiments.run.results import write_whole

TUNED = Path(__file__).with_name("tuned.json")
GIVEN = ("experiment=best_effort/base",)
WORKLOADS = ("best_effort_gamma", "best_effort_mmpp")  # as experiments/conf/learn.yaml has them,
RATES = (10.0, 500.0)  # and its rates, requests/s
REQUESTS = 300_000  # to be simulated for a rule, as the learner has decisions
EACH = 2000  # requests of a trace
FIRST_SEED = 10_000
ROUNDS, KEPT = 3, 3  # of so many candidates one goes on, to so many times the traces
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
    return {"rates": rates, "window": float(rng.choice([0.25, 0.5, 1.0, 2.0, 4.0]))}


def _margin(rng: np.random.Generator, best: Values) -> Values:
    return {"margin": _rounded(10 ** rng.uniform(-0.3, 0.5), 3)}


def _speeds(rng: np.random.Generator, best: Values) -> Values:
    return {"speeds": {model: _rounded(10 ** rng.uniform(-1, 1)) for model in MODELS[1:]}}


def _rounded(value: float, digits: int = 2) -> float:
    return float(f"{value:.{digits}g}")


RULES = {
    "threshold": Rule("best_effort_threshold", _limits),
    "threshold_by_task": Rule("best_effort_threshold_by_task", _of_task, around="threshold"),
    "rate": Rule("best_effort_rate", _rates),
    "greedy": Rule("best_effort_greedy", _margin),
    "any": Rule("best_effort_any", _speeds),
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
            self.cfgs = [
                compose("config", [*GIVEN, f"system={policy}", f"trace={one}", f"trace.requests={EACH}", *given])
                for one in WORKLOADS
            ]

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


def tuned(name: str, requests: int, given: Sequence[str], seed: int, known: Mapping[str, Any]) -> dict[str, Any]:
    """The best values of rule `name`, and how they were found; around those in `known`, where it is drawn so."""
    rule, rng, least = RULES[name], np.random.default_rng(seed), len(WORKLOADS)
    best = known[rule.around]["values"] if rule.around else {}
    count = max(KEPT ** (ROUNDS - 1), requests // (ROUNDS * EACH * least))
    candidates = [*([best] if best else []), *(rule.draw(rng, best) for _ in range(count - bool(best)))]
    traces, simulated = Traces(rule.policy, given), 0
    with tqdm(total=ROUNDS * count * least, unit="run", desc=name, disable=None) as bar:

        def score(values: Values, number: int) -> float:
            nonlocal simulated
            bar.update(number)
            simulated += EACH * number
            return math.fsum(traces.performance(values, one) for one in range(number)) / number

        rounds = [*search(score, candidates, least)]
    reached, values = rounds[-1].found[0]
    return {
        "values": values,
        "performance": round(reached, 4),
        "requests": simulated,
        "rounds": [
            {
                "traces": one.traces,
                "candidates": len(one.found),
                "best": [round(score, 4) for score, _ in one.found[:3]],
            }
            for one in rounds
        ],
        "seed": seed,
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
    parser.add_argument("--requests", type=int, default=REQUESTS, help=f"to simulate for a rule (default {REQUESTS:,})")
    parser.add_argument("--given", action="append", default=[], metavar="SETTING", help="of every run, as reward=NAME")
    parser.add_argument("--seed", type=int, default=0, help="of the candidates (default 0)")
    parser.add_argument("--output", type=Path, default=TUNED, help="the file (default: the one that ships)")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.rules if name not in RULES]:
        parser.error(f"no rule {', '.join(unknown)}: there are {', '.join(RULES)}")
    found = json.loads(options.output.read_text(encoding="utf-8")) if options.output.exists() else {}
    for name in options.rules or RULES:
        around = RULES[name].around
        if around and around not in found:
            parser.error(f"{name} is drawn around what was found for {around}: search for that first")
        found[name] = tuned(name, options.requests, options.given, options.seed, found)
        write_whole(options.output, json.dumps(found, indent=1) + "\n")
        print(f"{name}: {json.dumps(found[name]['values'])}, performance {found[name]['performance']}")
    print(f"written to {options.output}", file=sys.stderr)
    return 0
