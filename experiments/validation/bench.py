"""Set what vLLM's benchmark measured beside a simulation of the same requests.

    vllm bench serve ... --save-result --save-detailed --result-filename FILE      # on the machine that serves
    tokenyard validate FILE cluster=one model=llama-3.1-8b device=h100_sxm policy.batching.max_num_seqs=256
    tokenyard validate bench FILE cluster=one model=PATH/config.json device=l40s +json=true    # the same verb, said

Takes every setting of a run (`tokenyard run --help`). The requests come as they were sent, and answers are as long as
they were. FILE does not say how the server was started: its model, its devices, its seats
(policy.batching.max_num_seqs), its token budget (policy.batching.max_num_batched_tokens), its KV cache
(cluster.devices.gpu.kv_tokens), prefix caching (cluster.devices.gpu.prefix_caching) and whether it plans a step ahead
(policy.batching.plans_ahead) are said by these settings, and told above the table. Unless others are given:
policy=fifo policy/batching=continuous predictor=oracle. Deciding costs nothing: a server's own time for it is in the
steps that were measured, or is missing.

Prints mean, P50, P90 and P99 of TTFT, TPOT, ITL and E2E, measured and simulated, with the errors, and what the rows say
of where these come from. report.txt, report.jsonl and a picture of the distributions go to results/validate/FILE's name
(`results=`, `name=`); +json=true prints JSON lines.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pandas as pd
from hydra.errors import HydraException
from omegaconf import DictConfig

from experiments.run.asked import ask
from experiments.run.inputs import Inputs, kv_room, read_inputs
from experiments.run.parts import build
from experiments.validation.bench_report import Compared, doubts, write
from experiments.validation.measured import both, with_measured
from sim import Record, simulate
from sim.gaps import gaps
from sim.overhead import Overhead
from traces.formats.vllm_bench import read_result
from traces.locate import public_file
from traces.requests import to_requests

OWN = re.compile(r"\+{0,2}json=")  # settings that are no run's
MOST, CLOSE = 8, 0.005  # rounds in search of a server's speed, and the share of it that is close enough
CHOSEN = {"policy": "fifo", "policy/batching": "continuous", "predictor": "oracle", "trace": "vllm_bench"}


def compare(cfg: DictConfig, inputs: Inputs, result: dict[str, Any]) -> Compared:
    """Simulate the requests of `inputs`, which are those of the benchmark's `result`, as they are and slowed."""
    asked = inputs.replay["request_id"].astype(int)
    measured = np.array([gap for name in asked for gap in result["itls"][name]], dtype=float)
    plain = _simulated(cfg, inputs, measured)
    slower, slowed = 1.0, plain
    for _ in range(MOST):
        own = slowed.simulated_gaps
        off = float(np.mean(measured) / np.mean(own)) if len(measured) and len(own) else 0.0
        if not off > 0:  # tokens that came together
            return plain
        if abs(off - 1) < CLOSE:
            break
        slower *= off  # and then batches are larger
        slowed = _simulated(cfg, inputs, measured, slower)
    return replace(plain, slowed=(slower, slowed))


def _simulated(cfg: DictConfig, inputs: Inputs, measured: np.ndarray, slower: float = 1.0) -> Compared:
    """Where everything takes `slower` times as long: the times of requests that come closer, stretched."""
    parts = build(cfg, inputs.cluster, inputs.training)
    tables = simulate(
        to_requests(inputs.replay.assign(arrival=inputs.replay["arrival"] / slower)),
        replace(parts.policy, overhead=Overhead()),
        inputs.cluster,
        parts.predictor,
        record=Record.JOBS,
        unservable="fail",
    )
    found = gaps(tables.requests, tables.steps, tables.spans)
    own = zip(found.low[found.seen], found.high[found.seen], strict=True)
    between = slower * np.concatenate([found.alone[1], *(found.between[low:high] for low, high in own)])
    stretched = {name: slower * tables.requests[name] for name in ("arrival", "first_token", "finished")}
    real, simulated = both(pd.DataFrame(with_measured({**tables.requests, **stretched}, inputs.replay)))
    return Compared(real, simulated, measured, between, float(found.seen.mean()))


def facts(cfg: DictConfig, inputs: Inputs, result: dict[str, Any], path: Path) -> list[str]:
    """What was measured and what is simulated, a line each."""
    rate, most = result.get("request_rate"), result.get("max_concurrency")
    asked = "all at once" if rate == "inf" else f"at {rate} requests/s, burstiness {result.get('burstiness')}"
    asked += f", at most {most} at a time" if most else ""
    served = f"measured: {path.name}, {result.get('backend')} served {result.get('model_id')}, {asked}"
    served += f", in {result['duration']:.4g} s" if isinstance(result.get("duration"), float | int) else ""
    room, lines = kv_room(inputs.cluster), [served + (f", {result['date']}" if "date" in result else "")]
    for device in inputs.cluster.devices:
        execution = (device.batching or build(cfg, inputs.cluster, inputs.training).policy.batching).execution
        limits = f"{execution.max_num_seqs} seats, {getattr(execution, 'max_num_batched_tokens', None)} tokens a step"
        ahead = "a step planned ahead" if getattr(execution, "plans_ahead", 0) else "no step planned ahead"
        caching = "on" if device.prefix_caching else "off"
        lines.append(
            f"simulated: {device.name}, {inputs.provenance.get(device.name, 'a part')}, {limits}, {ahead}, KV of "
            f"{room[device.name]}, prefix caching {caching}"
        )
    return lines


@hydra.main(version_base="1.3", config_path="../conf", config_name="config")
def _app(cfg: DictConfig) -> None:
    try:
        path = public_file(cfg.trace.path)
        result, inputs = read_result(path), read_inputs(cfg)
        if "measured_finished" not in inputs.replay:
            raise ValueError(
                "trace.rate, trace.window and resample change when requests come: nothing is measured then"
            )
        compared = compare(cfg, inputs, result)
        about = facts(cfg, inputs, result, path)
        about += doubts(result, inputs.cluster)
        write(Path(cfg.results) / str(cfg.name), about, compared, as_json=bool(cfg.get("json")))
    except (ValueError, OSError, ModuleNotFoundError, HydraException) as error:
        sys.exit(f"tokenyard validate: {' '.join(str(error).split())}")


def settings(given: Sequence[str]) -> list[str]:
    """A command line as a run takes it: the file is the trace's path, and what is not said is CHOSEN."""
    files = [one for one in given if "=" not in one and not one.startswith("-")]
    if len(files) > 1:
        raise ValueError(f"one file at a time, got {' and '.join(files)}")
    words = [one for one in given if one not in files]
    keys = {one.lstrip("+").partition("=")[0] for one in words}
    path = Path(files[0]) if files else None
    stem = path.name.removesuffix(".gz").removesuffix(".json") if path else ""
    own = {**CHOSEN, **({"trace.path": f"'{path}'", "name": f"'validate/{stem}'"} if path else {})}
    return [*(f"{key}={value}" for key, value in own.items() if key not in keys), *words]


def main() -> None:
    """The command line; what is wrong is said in a line each."""
    try:
        sys.argv[1:] = settings(sys.argv[1:])
    except ValueError as error:
        sys.exit(f"tokenyard validate: {error}")
    ask("validate", OWN, __doc__, _app)
