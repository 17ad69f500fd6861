"""Find the arrival rate at which the mean response time is a given multiple of the unloaded one.

    python -m experiments.find_rate trace=recorded policy=fifo +slowdown=3 +seeds=5

Takes every setting of `tokenyard`; `slowdown` is the multiple, `seeds` how many traces the means are over. The unloaded
mean is that of the same requests, so far apart that none meets another.
"""

from __future__ import annotations

import sys

import hydra
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from experiments.build import build, read_inputs, to_requests
from sim import simulate
from sim.metrics import summary

UNLOADED_RATE = 1e-4  # requests/s
PRECISION = 0.01  # of the rate found


def mean_response(cfg: DictConfig, rate: float, seeds: int) -> float:
    """The mean response time, s, over `seeds` runs at `rate` requests/s."""
    total = 0.0
    for seed in range(seeds):
        run_cfg = OmegaConf.merge(cfg, {"trace": {"rate": rate}, "seed": seed})
        assert isinstance(run_cfg, DictConfig)
        inputs = read_inputs(run_cfg)
        parts = build(run_cfg, inputs.cluster, inputs.training)
        tables = simulate(to_requests(inputs.replay), parts.policy, inputs.cluster, parts.predictor)
        total += float(summary(tables.requests, cfg.warmup)["response_time_mean"])
    return total / seeds


def find(cfg: DictConfig, slowdown: float, seeds: int) -> tuple[float, float, float]:
    """The rate (requests/s), the mean response time there and the unloaded one (s)."""
    if not slowdown > 1:
        raise ValueError(f"slowdown must be above 1, got {slowdown}")
    unloaded = mean_response(cfg, UNLOADED_RATE, seeds)
    low, high = 0.0, 0.5 / unloaded
    with tqdm(desc="rate", unit="try") as bar:
        while mean_response(cfg, high, seeds) < slowdown * unloaded:
            low, high = high, 2 * high
            bar.update()
        while high - low > PRECISION * high:
            middle = (low + high) / 2
            low, high = (low, middle) if mean_response(cfg, middle, seeds) > slowdown * unloaded else (middle, high)
            bar.set_postfix(rate=f"{high:.3g}")
            bar.update()
    return high, mean_response(cfg, high, seeds), unloaded


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> None:
    """Search and print."""
    rate, mean, unloaded = find(cfg, float(cfg.get("slowdown", 3.0)), int(cfg.get("seeds", 3)))
    print(f"unloaded mean response time {unloaded:.4f} s")
    print(f"trace.rate={rate:.4g} gives {mean:.4f} s, {mean / unloaded:.2f} times as much")


if __name__ == "__main__":
    sys.exit(main())
