"""Side by side with other simulators: the same requests through each whole command, in turn; one JSON line per system.

    tokenyard engine peers                                   # ours alone, with a row per step and without
    tokenyard engine peers --simdistserve DistServe --rate simdistserve=4.1
    tokenyard engine peers --vidur vidur --vidur-python vidur/.venv/bin/python --rate vidur=5.6
    tokenyard engine peers --requests 2000,10000 --repeats 5 --keep peers-output

DIR is a checkout (docs/peers.md names the commits), whose command line is called, in its folder, by its own python. The
requests are the first of Azure's conversation trace of 2023 whose prompt and answer take 4,096 tokens or fewer, with
Poisson arrivals of a rate for each system (--rate NAME=REQUESTS/S): devices differ, and those rates are equal that give
equal mean batches; these are told where a system leaves what tells them. Each round runs every system once at each
size, so that all meet the same machine. Of every command wall seconds, processor seconds and peak memory are taken, at
the larger size. Its start is told apart from its work by another: `us_per_request` is the further time per further
request, of the larger size over the smaller for peers, of ten times as many over the larger for ours, which would drown
in its start otherwise. `times` is how much longer than `tokenyard` or `tokenyard_steps` a system takes per further
request, in the same round. `NAME` writes no rows for its steps, `NAME_steps` one for each, as far as its command line
lets it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments.engine.cases import AZURE
from traces.formats import azure

CONTEXT = 4096  # tokens of the longest request
OURS = 5.9  # requests/s, a mean batch of 36
NAMES = ("tokenyard", "simdistserve", "vidur")
SEED = 0
MORE = 10  # times as many requests, for us, where a request is told apart from the start


class Used(NamedTuple):
    """What a command took: wall and processor seconds, and MB of memory at its peak."""

    wall: float
    processor: float
    memory: float


@dataclass(frozen=True)
class System:
    """A simulator's command line for a table of requests in `folder`, called in `at`."""

    write: Callable[[pd.DataFrame, Path], None]  # the requests, as the command reads them
    command: Callable[[Path], list[str]]
    at: Path
    batch: Callable[[Path], float]  # the mean batch, of what the command left; NaN if nothing tells
    environment: Mapping[str, str]


def requests(path: Path, count: int, rate: float) -> pd.DataFrame:
    """The first `count` rows of Azure's trace that fit, with Poisson arrivals of `rate` per second from 0 s on.

    Where there are not so many it begins again.
    """
    table = azure.load(path)
    fits = table["prompt_tokens"] + table["output_tokens"] <= CONTEXT
    rows = table.loc[fits, ["arrival", "prompt_tokens", "output_tokens"]]
    rows = rows.iloc[np.arange(count) % len(rows)].reset_index(drop=True)
    return rows.assign(arrival=np.cumsum(np.random.default_rng(SEED).exponential(1 / rate, count)))


def ours(record: str) -> System:
    """This tokenyard: Llama-3.1-8B on an A100 under vLLM's batching, first come, first served."""

    def command(folder: Path) -> list[str]:
        columns = (f"trace.columns.{name}={name}" for name in ("arrival", "prompt_tokens", "output_tokens"))
        return [
            sys.executable, "-P", "-m", "experiments.cli", "policy=fifo", "policy/batching=continuous",
            "cluster=llama_8b", "predictor=oracle", "trace=csv", f"trace.path={folder / 'requests.csv'}", *columns,
            f"record={record}", f"results={folder / 'results'}", "name=peers",
        ]  # fmt: skip

    def batch(folder: Path) -> float:
        steps = [pd.read_parquet(path) for path in folder.glob("results/peers/*/steps.parquet")]
        return float(_tokens(folder) / len(steps[0])) if steps else float("nan")

    root = str(Path(__file__).parents[2])
    return System(_csv, command, Path.cwd(), batch, {"PYTHONPATH": root})


def simdistserve(checkout: Path, python: str, steps: bool) -> System:
    """DistServe's simulator, with vLLM's batches (prefill and decode on one device), OPT-13B."""

    def write(table: pd.DataFrame, folder: Path) -> None:
        _csv(table, folder)
        rows = [
            {"start_time": 1000 * row.arrival, "prompt_len": row.prompt_tokens, "output_len": row.output_tokens}  # ms
            for row in table.itertuples()
        ]
        (folder / "requests.json").write_text(json.dumps(rows), encoding="utf-8")

    def command(folder: Path) -> list[str]:
        found = ["--output-request-latency", str(folder / "latency.csv")]
        found += ["--output-worker", str(folder / "worker.csv")] if steps else []
        return [
            python, "-m", "simdistserve.benchmarks.simulate_dist", "--backend", "vllm", "--model", "opt_13b",
            "--arrival", "custom", "--workload", str(folder / "requests.json"), "--N", str(len(_read(folder))), *found,
        ]  # fmt: skip

    def batch(folder: Path) -> float:
        if not (folder / "worker.csv").exists():
            return float("nan")
        worker = pd.read_csv(folder / "worker.csv")
        return float(_tokens(folder) / max(1, worker["event_type"].isin(("do_prefill", "do_decode")).sum()))

    return System(write, command, checkout, batch, {"PYTHONPATH": str(checkout)})


def vidur(checkout: Path, python: str, steps: bool) -> System:
    """Vidur, Llama-2-7B on an A100 under its vLLM scheduler, with its default forests; its outputs off, or on."""

    def write(table: pd.DataFrame, folder: Path) -> None:
        _csv(table, folder)
        lengths = table.rename(columns={"prompt_tokens": "num_prefill_tokens", "output_tokens": "num_decode_tokens"})
        total = lengths["num_prefill_tokens"] + lengths["num_decode_tokens"]
        ratio = lengths["num_prefill_tokens"] / lengths["num_decode_tokens"]
        lengths.assign(num_total_tokens=total, pd_ratio=ratio).to_csv(folder / "lengths.csv", index=False)

    def command(folder: Path) -> list[str]:
        table = _read(folder)
        rate = (len(table) - 1) / (table["arrival"].iloc[-1] - table["arrival"].iloc[0])
        metrics = ["--no-metrics_config_store_plots", f"--metrics_config_output_dir={folder / 'output'}"]
        metrics += [] if steps else ["--no-metrics_config_write_metrics", "--no-metrics_config_enable_chrome_trace"]
        return [
            python, "-m", "vidur.main", "--replica_config_device", "a100", "--replica_config_model_name",
            "meta-llama/Llama-2-7b-hf", "--cluster_config_num_replicas", "1",
            "--request_generator_config_type", "synthetic", "--synthetic_request_generator_config_num_requests",
            str(len(table)), "--length_generator_config_type", "trace",
            "--trace_request_length_generator_config_trace_file", str(folder / "lengths.csv"),
            "--trace_request_length_generator_config_max_tokens", str(CONTEXT),
            "--interval_generator_config_type", "poisson",
            "--poisson_request_interval_generator_config_qps", str(rate),
            "--replica_scheduler_config_type", "vllm", "--vllm_scheduler_config_batch_size_cap", "256", *metrics,
        ]  # fmt: skip

    def batch(folder: Path) -> float:
        sizes = [pd.read_csv(path) for path in folder.glob("output/**/batch_size.csv")]
        return float(sizes[0]["batch_size"].mean()) if sizes and "batch_size" in sizes[0] else float("nan")

    return System(write, command, checkout, batch, {"WANDB_MODE": "disabled"})


def used(command: Sequence[str], at: Path, environment: Mapping[str, str], log: Path) -> Used:
    """Run `command` in `at`, with what it says in `log`. ValueError for an exit code that is not 0."""
    start = time.perf_counter()
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, cwd=at, env={**os.environ, **environment}, stdout=file, stderr=file)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise ValueError(f"{' '.join(command[:4])} ... ended with exit code {process.returncode}: {' '.join(last)}")
    return Used(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def round_of(
    systems: Mapping[str, System], tables: Callable[[str, int], pd.DataFrame], sizes: tuple[int, int], folder: Path
) -> dict[str, dict[str, Any]]:
    """Every system once at two sizes, one after another: what it took at the larger of `sizes`, and further time."""
    found: dict[str, dict[str, Any]] = {}
    for name, system in systems.items():
        named = name.removesuffix("_steps")
        took = {}
        for size in (sizes[1], MORE * sizes[1]) if named == "tokenyard" else sizes:
            place = folder / f"{name}-{size}"
            place.mkdir(parents=True)
            system.write(tables(named, size), place)
            took[size] = used(system.command(place), system.at, system.environment, place / "log.txt")
        (small, least), (large, most) = took.items()
        further = (most.wall - least.wall) / (large - small)
        batch = system.batch(folder / f"{name}-{sizes[1]}")
        found[name] = {
            "further": further,
            "start": least.wall - further * small,
            "batch": batch,
            "used": took[sizes[1]],
        }
    return found


def described(name: str, rounds: Sequence[Mapping[str, dict[str, Any]]], size: int) -> dict[str, Any]:
    """The line of a system: medians over `rounds`, with the least and the largest of what is compared."""
    base = "tokenyard_steps" if name.endswith("_steps") else "tokenyard"
    took: list[Used] = [one[name]["used"] for one in rounds]
    batches = [one[name]["batch"] for one in rounds]
    line: dict[str, Any] = {
        "system": name,
        "requests": size,
        "wall_seconds": round(statistics.median(one.wall for one in took), 2),
        "processor_seconds": round(statistics.median(one.processor for one in took), 2),
        "peak_memory_mb": round(statistics.median(one.memory for one in took)),
        "start_seconds": round(statistics.median(one[name]["start"] for one in rounds), 2),
        "us_per_request": round(1e6 * statistics.median(one[name]["further"] for one in rounds), 1),
        "mean_batch": None if np.isnan(batches[0]) else round(statistics.median(batches), 1),
        "repeats": len(rounds),
    }
    pairs = [(one[name], one[base]) for one in rounds] if name != base else []
    for label, ratios in {
        "times": [one["further"] / other["further"] for one, other in pairs],
        "times_whole_command": [one["used"].wall / other["used"].wall for one, other in pairs],
        "times_memory": [one["used"].memory / other["used"].memory for one, other in pairs],
    }.items():
        if ratios:
            line[label] = round(statistics.median(ratios), 2)
            line[f"{label}_spread"] = [round(min(ratios), 2), round(max(ratios), 2)]
    return line


def _csv(table: pd.DataFrame, folder: Path) -> None:
    table.to_csv(folder / "requests.csv", index=False)


def _read(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "requests.csv")


def _tokens(folder: Path) -> int:
    return int(_read(folder)["output_tokens"].sum())


def _rates(texts: Sequence[str]) -> dict[str, float]:
    """NAME=REQUESTS/S, for those that are named; ValueError for what is none."""
    found = {"tokenyard": OURS}
    for text in texts:
        name, _, rate = text.partition("=")
        if name not in NAMES or not rate.replace(".", "", 1).isdigit() or not float(rate) > 0:
            raise ValueError(f"--rate must be NAME=REQUESTS/S with a NAME of {', '.join(NAMES)}, got {text!r}")
        found[name] = float(rate)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rounds and print the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("simdistserve", "vidur"):
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help="a checkout (docs/peers.md); without: left out")
        parser.add_argument(f"--{name}-python", default=sys.executable, metavar="PYTHON", help="that runs it")
    parser.add_argument("--requests", default="2000,10000", help="two sizes, rising (default: 2000,10000)")
    rate = "requests/s of a system; ours has 5.9 unless given"
    parser.add_argument("--rate", action="append", default=[], metavar="NAME=R", help=rate)
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--azure", type=Path, default=AZURE, metavar="CSV", help="Azure's conversation trace")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="a new folder for what the commands read and write")
    settings = parser.parse_args(arguments)
    small, _, large = settings.requests.partition(",")
    if not (small.isdigit() and large.isdigit() and 1 < int(small) < int(large)):
        parser.error(f"--requests must be two rising numbers from 2 on, got {settings.requests!r}")
    sizes = int(small), int(large)
    if settings.repeats < 1:
        parser.error(f"--repeats must be positive, got {settings.repeats}")
    systems = {"tokenyard": ours("requests"), "tokenyard_steps": ours("steps")}
    for name, make in {"simdistserve": simdistserve, "vidur": vidur}.items():
        if (checkout := getattr(settings, name)) is not None:
            if not checkout.is_dir():
                parser.error(f"--{name}: there is no folder {checkout}")
            python = getattr(settings, f"{name}_python")
            systems |= {f"{name}{end}": make(checkout.resolve(), python, bool(end)) for end in ("", "_steps")}
    try:
        rates = _rates(settings.rate)
        if lacking := {name.removesuffix("_steps") for name in systems} - set(rates):
            raise ValueError(f"--rate {min(lacking)}=REQUESTS/S is needed: the one that gives it our mean batch")

        def tables(name: str, size: int) -> pd.DataFrame:
            return requests(settings.azure, size, rates[name])

        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(settings.keep or temporary).resolve()
            rounds = [round_of(systems, tables, sizes, folder / f"round-{one}") for one in range(settings.repeats)]
    except (ValueError, OSError) as error:
        print(f"tokenyard engine peers: {error}", file=sys.stderr)
        return 2
    for name in systems:
        print(json.dumps(described(name, rounds, sizes[-1])), flush=True)
    return 0
