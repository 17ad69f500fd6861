"""Find the highest arrival rate at which objectives hold, of each of several policies or clusters.

    tokenyard capacity policy=fifo,sjf predictor=oracle policy/batching=continuous cluster=llama_8b \\
      trace=azure_2023_conv slo.ttft_p99=1 slo.tpot_p99=0.05

Takes every setting of a run (`tokenyard run --help`); several values of one, with commas, are so many systems, which
are given the same requests. Objectives are slo.METRIC_pNN (seconds; ttft, tpot, itl, e2e), or slo.METRIC with
slo.attainment, by class too (docs/capacity.md). For each seed the rate is found up to which its run holds all of them,
by bisection; the capacity is the mean over seeds, with its 95 % interval, and seeds are added until that is narrow.
Then: what is missed first above it, what holds requests up there, a curve of each bounded metric, and all that was
tried, as files in results/NAME. Runs are kept as those of a sweep: the same command goes on where it was stopped.

    systems='fifo: policy=fifo; srpt: policy=fifo policy/order=srpt policy/batching=preemptive'
                     systems that differ in several settings, by name; what they say goes before what all say
    seeds=5          to begin with, from `seed` on
    most=20          seeds at most
    precision=0.03   half of the interval over the rate, at which it is narrow
    grid=0.01        share by which a rate that is tried is above the one before it
    by=time          how a rate is set: all gaps stretched alike, or by=thinning: requests left out, gaps as recorded
    start=4          requests/s at which the search begins
    curve=8          rates of the curve, of as many seeds as it begins with; 0: no curve
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from experiments.capacity.asked import Own, in_one_line, read, several, share, whole
from experiments.capacity.figure import draw
from experiments.capacity.report import stored, told
from experiments.capacity.systems import Settings, Survey
from experiments.capacity.workers import workers
from experiments.figures.style import save
from experiments.run.sweep import SweepLog
from experiments.run.training import KEEP
from experiments.settings.wording import SettingError
from traces.paced import WAYS

SETTINGS = {
    "systems": Own(None, several, bool, "systems with their settings, as 'fifo: policy=fifo; sjf: policy=sjf'"),
    "seeds": whole(5, 1, "a whole number of seeds, at least 1"),
    "most": whole(20, 1, "a whole number of seeds, at least 1"),
    "precision": share(0.03, "a share of the rate, between 0 and 1"),
    "grid": share(0.01, "a share of the rate, between 0 and 1"),
    "by": Own("time", str, lambda given: given in WAYS, " or ".join(WAYS)),
    "start": Own(4.0, float, lambda given: 1e-3 <= given <= 1e5, "requests/s, from 0.001 to 100,000"),
    "curve": whole(8, 0, "a whole number of rates, or 0"),
}
REFUSED = {"trace.rate": "is what tokenyard capacity looks for: leave it out (start=REQUESTS/S says where it begins)"}


def search(*arguments: str) -> tuple[Survey, Path]:
    """What `tokenyard capacity` finds, and the folder of its results; SettingError for what cannot be searched."""
    thins = any(one.lstrip("+") == "by=thinning" for one in arguments)  # of a trace at a rate, then
    asked = read(arguments, SETTINGS, {} if thins else REFUSED)
    if asked is None:
        raise SettingError("a search takes settings, and no flags")
    if asked.own["most"] < asked.own["seeds"]:
        raise SettingError(f"most={asked.own['most']} must not be below seeds={asked.own['seeds']}")
    log = SweepLog()
    try:
        with workers(asked.work, asked.launcher) as submit:
            survey = Survey(asked.systems, Settings(seed=asked.seed, **asked.own), submit)
            survey.find()
            survey.look()
    finally:
        log.close()
        os.environ.pop(KEEP, None)
    return survey, asked.folder


def main() -> None:
    """Search, print and store; what is wrong is said in a line, and ends it."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(__doc__)
        return
    begun = time.perf_counter()
    with in_one_line("capacity"):
        survey, folder = search(*sys.argv[1:])
        print(told(survey, time.perf_counter() - begun))
        files = stored(survey, folder)
        if survey.settings.curve:
            files += save(draw(survey), folder / "capacity")
        print("\n".join(map(str, files)))
