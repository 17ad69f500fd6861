"""Find the cheapest cluster that carries a load within objectives: which devices, how many, alike or in two roles.

    tokenyard plan policy=fifo predictor=oracle policy/batching=continuous cluster=llama_8b trace=azure_2023_conv \\
      resample=blocks trace.rate=60 slo.ttft_p99=1 slo.tpot_p99=0.05 devices=h100_sxm,a100_sxm,l40s

Takes every setting of a run (`tokenyard run --help`): `trace.rate` is the load, `slo.*` what must hold, and `cluster`
names the model, the devices of which are replaced. Of each device the fewest replicas are found with which every seed's
run holds; then clusters whose devices prefill or decode (cluster=prefill_decode), alike or not, and every ratio of the
best of these with links of other speeds. Printed are those tried, with what they cost and miss, why the winner
wins, and what it carries at most. Runs are kept as those of a sweep (docs/capacity.md).

    devices=...      profiles of the model, by name; all that have a price, where none is named
    price.NAME=2.5   dollars an hour of a device; prices=FILE: of many (experiments/capacity/prices.yaml is the form)
    layouts=together,split   what is tried; one of them alone leaves the other out
    seeds=5          from `seed` on, in each of which it must hold
    most=16          devices of a role at most
    link=25e9        bytes/s between a device that prefills and one that decodes; links=25e9,2.5e9: those of the ratios
"""

from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

from experiments.capacity.asked import Asked, Own, in_one_line, read, whole
from experiments.capacity.candidates import Base, load_of
from experiments.capacity.planned import Answer, draw
from experiments.capacity.planning import Planner
from experiments.capacity.prices import SHIPPED, read_prices
from experiments.capacity.systems import Settings, Survey
from experiments.capacity.workers import workers
from experiments.figures.style import save
from experiments.run.sweep import SweepLog
from experiments.run.training import KEEP

PRICE = re.compile(r"\+{0,2}price\.([^=]+)=(.*)")
LAYOUTS = ("together", "split")


def _names(text: str) -> list[str]:
    return [name for name in text.strip("[]").split(",") if name]


def _numbers(text: str) -> list[float]:
    return [float(part) for part in _names(text)]


SEEDS, PRECISION, GRID = 12, 0.05, 0.01  # of the search for what the winner carries
SETTINGS = {
    "devices": Own([], _names, bool, "names of profiles, as h100_sxm,l40s (tokenyard profile list)"),
    "layouts": Own([*LAYOUTS], _names, lambda given: given and set(given) <= set(LAYOUTS), ", ".join(LAYOUTS)),
    "seeds": whole(5, 1, "a whole number of seeds, at least 1"),
    "most": whole(16, 1, "a whole number of devices, at least 1"),
    "link": Own(25e9, float, lambda given: 1e3 <= given <= 1e15, "bytes/s, from 1e3 to 1e15"),
    "links": Own(
        [], _numbers, lambda given: given and all(1e3 <= one <= 1e15 for one in given), "bytes/s, as 25e9,1e9"
    ),
    "prices": Own(SHIPPED, Path, Path.is_file, "a yaml file"),
}
REFUSED = {"load": "say the load as trace.rate=REQUESTS/S"}


def main() -> None:
    """Search, print and store; what is wrong is said in a line, and ends it."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(__doc__)
        return
    begun = time.perf_counter()
    with in_one_line("plan"):
        said = {match[1]: match[2] for one in sys.argv[1:] if (match := PRICE.fullmatch(one))}
        asked = read([one for one in sys.argv[1:] if not PRICE.fullmatch(one)], SETTINGS, REFUSED)
        assert asked is not None
        plan(asked, said, begun)


def plan(asked: Asked, said: dict[str, str], begun: float) -> None:
    """Search for the cheapest cluster of what is asked, print and store it; ValueError for what cannot be planned."""
    own = asked.own
    if len(asked.systems) > 1:
        raise ValueError(f"one system at a time, got {', '.join(one.name for one in asked.systems)}")
    [system] = asked.systems
    base, rate = Base(system), load_of(system.cfg)
    base.check()
    prices = read_prices(own["prices"], said)
    devices = own["devices"] or [device for device in prices if base.has(device)]
    if unpriced := [device for device in devices if device not in prices]:
        raise ValueError(f"{unpriced[0]} has no price: give price.{unpriced[0]}=DOLLARS (an hour)")
    if absent := [device for device in devices if not base.has(device)]:
        raise ValueError(f"{base.model} has no profile of {absent[0]}: tokenyard profile list")
    if not devices:
        raise ValueError(f"no device with a price has a profile of {base.model}: tokenyard profile list")
    if idle := [device for device in said if device not in devices]:
        raise ValueError(
            f"price.{idle[0]}={said[idle[0]]}: no candidate is of {idle[0]}; there are {', '.join(devices)}"
        )
    log = SweepLog()
    seeds = range(asked.seed, asked.seed + own["seeds"])
    try:
        with workers(asked.work, asked.launcher) as submit:
            planner = Planner(base, prices, seeds, own["most"], own["link"], submit)
            if "together" in own["layouts"]:
                planner.together(devices)
            split = planner.split(devices) if "split" in own["layouts"] else None
            ratios = planner.ratios(split.candidate, own["links"] or [own["link"]]) if split else []
            winner = planner.winner()
            planner.look(winner)
            planner.done()
            answer, survey = Answer(planner, rate, winner, None, tuple(ratios)), None
            print(answer.tried(), flush=True)
            if winner is not None:
                most = max(own["seeds"], SEEDS)
                settings = Settings(asked.seed, own["seeds"], most, PRECISION, GRID, "time", rate, 0)
                survey = Survey([planner.system(winner)], settings, submit)
                survey.find()
    finally:
        log.close()
        os.environ.pop(KEEP, None)
    if survey:
        answer = replace(answer, capacity=survey.found[0].capacity(survey.grid))
    print(answer.told(time.perf_counter() - begun))
    files = [answer.stored(asked.folder)]
    if ratios:
        files += save(draw(answer), asked.folder / "plan-ratios")
    print("\n".join(map(str, files)))
