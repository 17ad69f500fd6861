"""Find the arrival rate at which the mean response time is a given multiple of the unloaded one.

    tokenyard rate trace=recorded policy=fifo +slowdown=3 +seeds=5

Takes every setting of a run (`tokenyard run --help`), and two of its own: `slowdown` is the multiple, `seeds` how many
traces the means are over, from `seed` on. The unloaded mean is that of the same requests, so far apart that none meets
another. Where no rate is high enough, it says what the largest multiple is: that of all requests at once.
"""

from __future__ import annotations

import math
import re
import sys
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from experiments.run.asked import ask
from experiments.run.inputs import read_inputs
from experiments.run.parts import build
from experiments.run.training import fitted, keeping_rows
from sim import simulate
from sim.metrics import summary
from traces.requests import to_requests

UNLOADED_RATE = 1e-4  # requests/s
AT_ONCE_RATE = 1e9  # requests/s
PRECISION = 0.01  # of the rate found
OWN = re.compile(r"\+{0,2}(slowdown|seeds)=")  # settings that are no run's


def mean_response(cfg: DictConfig, rate: float, seeds: int) -> tuple[float, int]:
    """The mean response time (s) over `seeds` runs at `rate` requests/s, and how many requests they have together.

    ValueError if in one of them no request of the measured window is served.
    """
    total, count = 0.0, 0
    for seed in range(cfg.seed, cfg.seed + seeds):
        run_cfg = OmegaConf.merge(cfg, {"trace": {"rate": rate}, "seed": seed})
        assert isinstance(run_cfg, DictConfig)
        run_cfg = keeping_rows(run_cfg, bool(fitted(run_cfg)))
        inputs = read_inputs(run_cfg)
        parts = build(run_cfg, inputs.cluster, inputs.training)
        requests = to_requests(inputs.replay)
        tables = simulate(requests, parts.policy, inputs.cluster, parts.predictor, unservable=cfg.unservable)
        mean = float(summary(tables.requests, cfg.warmup)["response_time_mean"])
        if not math.isfinite(mean):
            raise ValueError(f"no request of the measured window is served at trace.rate={rate:g}, seed={seed}")
        total += mean
        count += len(requests)
    return total / seeds, count


def find(cfg: DictConfig, slowdown: float, seeds: int) -> tuple[float, float, float]:
    """The rate (requests/s), the mean response time there and the unloaded one (s).

    ValueError where the mean does not rise as far, or where the rate decides how many requests there are.
    """
    unloaded, count = mean_response(cfg, UNLOADED_RATE, seeds)
    wanted = slowdown * unloaded
    low, high = 0.0, min(0.5 / unloaded, AT_ONCE_RATE)
    mean, others = mean_response(cfg, high, seeds)
    if others != count:
        raise ValueError(
            f"trace.rate decides how many requests this trace has ({count} at {UNLOADED_RATE:g}/s, {others} at "
            f"{high:g}/s): tokenyard rate needs one whose number of requests is a setting"
        )
    most, _ = mean_response(cfg, AT_ONCE_RATE, seeds)
    if most < wanted:
        raise ValueError(
            f"slowdown={slowdown:g} is not reached: with all requests at once the mean response time is "
            f"{most / unloaded:.3g} times the unloaded one; give a smaller slowdown, or more requests"
        )
    with tqdm(desc="rate", unit="try") as bar:
        while mean < wanted and high < AT_ONCE_RATE:
            low, high = high, min(2 * high, AT_ONCE_RATE)
            mean, _ = mean_response(cfg, high, seeds)
            bar.update()
        while high - low > PRECISION * high:
            middle = (low + high) / 2
            tried, _ = mean_response(cfg, middle, seeds)
            if tried < wanted:
                low = middle
            else:
                high, mean = middle, tried
            bar.set_postfix(rate=f"{high:.3g}")
            bar.update()
    return high, mean, unloaded


def check(cfg: DictConfig, overrides: list[str]) -> tuple[float, int]:
    """The slowdown and the number of seeds that `cfg` asks for; ValueError for what cannot be followed."""
    slowdown: Any = cfg.get("slowdown", 3.0)
    seeds: Any = cfg.get("seeds", 3)
    if isinstance(slowdown, bool) or not isinstance(slowdown, int | float) or not 1 < slowdown < math.inf:
        raise ValueError(f"slowdown must be a number above 1, got {slowdown!r}")
    if isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 1:
        raise ValueError(f"seeds must be a whole number of traces, at least 1, got {seeds!r}")
    if isinstance(cfg.seed, bool) or not isinstance(cfg.seed, int) or cfg.seed < 0:
        raise ValueError(f"seed must be the first of the seeds, a whole number, got {cfg.seed}; seeds says how many")
    if "rate" not in cfg.trace:
        names = ", ".join(name for name in cfg.trace if not str(name).startswith("_"))
        raise ValueError(f"tokenyard rate looks for trace.rate, and this trace has none to set; it has {names}")
    for name in ("load", "horizon"):
        if cfg[name] is not None:
            raise ValueError(f"{name} must be null, got {cfg[name]}: tokenyard rate sets it and serves all to the end")
    for override in overrides:
        if override.lstrip("+").startswith("trace.rate="):
            raise ValueError(f"{override} is what tokenyard rate looks for: leave it out")
    return float(slowdown), seeds


@hydra.main(version_base="1.3", config_path="../conf", config_name="config")
def _app(cfg: DictConfig) -> None:
    try:
        rate, mean, unloaded = find(cfg, *check(cfg, list(HydraConfig.get().overrides.task)))
    except (ValueError, OSError, ModuleNotFoundError, HydraException) as error:
        sys.exit(f"tokenyard rate: {' '.join(str(error).split())}")
    print(f"unloaded mean response time {unloaded:.4f} s")
    print(f"trace.rate={rate:.4g} gives {mean:.4f} s, {mean / unloaded:.2f} times as much")


def main() -> None:
    """Search and print; what is wrong is said in one line."""
    ask("rate", OWN, __doc__, _app)
