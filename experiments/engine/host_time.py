"""Measure what vLLM's own schedulers cost their host: microseconds of a step, of a running request, of an admission.

    taskset -c 1 tokenyard engine host-time
    taskset -c 1 tokenyard engine host-time --runner --repeats 5

`Scheduler` and `AsyncScheduler` are called as the engine core calls them, without a model: `schedule` and
`update_from_output` of one batch after the other, 1 to 256 requests running, first those alone, then with one admitted
in each step. A sample is the mean of 16 steps, in which every request fills a block; a point the median of some. Each
repeat is fitted by itself (least squares of relative errors) to step + request * running + admission * admitted;
printed is the mean over the repeats with its 95 % interval. Seconds are those that the thread had the processor, so
that a busy machine adds none but for its caches. `--runner` adds a row for the CPU side of vLLM's model runner
(`_update_states` and `_prepare_inputs`, of a tiny model in an engine on this CPU, synchronous, no admissions).

Not in it: the model runner but for that row, launching kernels, sampling, building a request and hashing its prompt,
detokenizing and answering (other threads and processes), statistics. All is of the processor and the core it ran on.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from experiments.engine.against_vllm import whole
from experiments.engine.golden import OUTPUT_ID
from experiments.engine.vllm_driver import MODEL, Missing, build, installed
from experiments.tables.stats import Interval, interval
from profiles.measuring import vllm_engine

RUNNING = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # requests that run
BLOCK_SIZE = 16
STEPS = 16  # of a sample
SAMPLES, WARM_UP = 9, 2  # of a point, and those cut before it
PROMPT = (128, 384)  # tokens, evenly: 256 in the mean
COLUMNS = ("step", "request", "admission")
CONFIG = {
    "max_num_seqs": 512,
    "max_num_batched_tokens": 8192,
    "num_blocks": 20_000,
    "block_size": BLOCK_SIZE,
    "policy": "fcfs",
    "enable_prefix_caching": True,
    "enable_chunked_prefill": True,
    "max_model_len": 8192,
    "long_prefill_token_threshold": 0,
}


class Point(NamedTuple):
    """`seconds` of a step with so many requests running, and so many of them admitted in it."""

    running: float
    admitted: float
    seconds: float


@dataclass(frozen=True)
class Costs:
    """Seconds by column, and the largest relative deviation of a point (its mean over the repeats) from them."""

    columns: dict[str, Interval]
    worst: float


class Loop:
    """vLLM's scheduler as the engine core calls it, with one batch in flight, or `ahead` two."""

    def __init__(self, ahead: bool, rng: np.random.Generator) -> None:
        self.scheduler, self._to_request = build({**CONFIG, "async_scheduling": ahead})
        self._depth = 1 + ahead
        self._flying: deque[Any] = deque()
        self._rng = rng
        self._numbers = itertools.count()

    def request(self) -> Any:
        """A request that shares no prefix and never ends."""
        ids = self._rng.integers(0, 1000, int(self._rng.integers(*PROMPT))).tolist()
        row = {"id": next(self._numbers), "arrival": 0.0, "priority": 0, "prompt_token_ids": ids}
        return self._to_request({**row, "output_tokens": CONFIG["max_model_len"]})

    def step(self, *admitted: Any) -> float:
        """Seconds of the host for a batch in which `admitted` come: its decision, and the commit of the oldest."""
        from vllm.v1.outputs import ModelRunnerOutput

        begin = time.thread_time()
        for request in admitted:
            self.scheduler.add_request(request)
        step = self.scheduler.schedule()
        seconds = time.thread_time() - begin
        names = list(step.num_scheduled_tokens)
        sampled = [[] if self.scheduler.requests[name].is_prefill_chunk else [OUTPUT_ID] for name in names]
        output = ModelRunnerOutput(names, {name: place for place, name in enumerate(names)}, sampled)
        self._flying.append((step, output))
        if len(self._flying) == self._depth:
            oldest = self._flying.popleft()
            begin = time.thread_time()
            self.scheduler.update_from_output(*oldest)
            seconds += time.thread_time() - begin
        return seconds


def scheduler_points(ahead: bool, running: Iterable[int], rng: np.random.Generator) -> Iterator[Point]:
    """Each number of `running` requests, alone and with one more admitted in each step."""
    for count in running:
        loop = Loop(ahead, rng)
        gc.collect()
        gc.freeze()  # as vLLM's engine core does once it has started
        for _ in range(count):
            loop.scheduler.add_request(loop.request())
        while any(request.num_output_tokens == 0 for request in loop.scheduler.requests.values()):
            loop.step()
        samples = [statistics.fmean(loop.step() for _ in range(STEPS)) for _ in range(WARM_UP + SAMPLES)]
        yield Point(count, 0, statistics.median(samples[WARM_UP:]))
        coming = [loop.request() for _ in range(STEPS)]
        yield Point(count + (STEPS + 1) / 2, 1, statistics.fmean(loop.step(request) for request in coming))


class Runner:
    """A vLLM engine of a tiny model on this CPU, whose model runner is timed as it prepares the inputs of a step."""

    PARTS = ("_update_states", "_prepare_inputs")

    def __init__(self, most: int, folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps({**MODEL, "max_position_embeddings": 2048}))
        settings = vllm_engine.engine_settings(folder, "float32", 0, 2048, most, 8192)
        self._engine = vllm_engine.build(settings, threads=1, kv_gibibytes=1, asynchronous=False)
        runner = self._engine.engine_core.engine_core.model_executor.driver_worker.worker.model_runner
        self._seconds = 0.0
        self._numbers = itertools.count()
        for name in self.PARTS:
            setattr(runner, name, self._timed(getattr(runner, name)))

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            begin = time.thread_time()
            try:
                return call(*given, **named)
            finally:
                self._seconds += time.thread_time() - begin

        return timed

    def _sample(self) -> float:
        self._seconds = 0.0
        for _ in range(STEPS):
            self._engine.step()
        return self._seconds / STEPS

    def points(self, running: Iterable[int]) -> Iterator[Point]:
        """Each number of `running` requests, alone."""
        for count in running:
            for _ in range(count):
                vllm_engine.add(self._engine, str(next(self._numbers)), [1] * 32, STEPS * (WARM_UP + SAMPLES) + 8)
            samples = [self._sample() for _ in range(WARM_UP + SAMPLES)]
            yield Point(count, 0, statistics.median(samples[WARM_UP:]))
            while self._engine.has_unfinished_requests():
                self._engine.step()


def fit(points: Sequence[Point]) -> tuple[float, ...]:
    """Seconds of a step, of a running request and, if any was admitted, of an admission: least relative squares."""
    terms = np.array([(1.0, point.running, point.admitted) for point in points])
    if not terms[:, 2].any():
        terms = terms[:, :2]
    seconds = np.array([point.seconds for point in points])
    found, *_ = np.linalg.lstsq(terms / seconds[:, None], np.ones(len(points)), rcond=None)
    return tuple(found.tolist())


def costs(repeats: Sequence[Sequence[Point]]) -> Costs:
    """What the `repeats`, each of the same points, say together."""
    fitted = np.array([fit(points) for points in repeats])
    means = [Point(*np.mean(points, axis=0).tolist()) for points in zip(*repeats, strict=True)]
    found = fitted.mean(axis=0)
    expected = [float(np.dot(found, (1.0, point.running, point.admitted)[: len(found)])) for point in means]
    worst = max(abs(given / point.seconds - 1) for given, point in zip(expected, means, strict=True))
    return Costs({name: interval(values) for name, values in zip(COLUMNS, fitted.T, strict=False)}, worst)


def processor() -> str:
    """The processor's name, and the cores that this process may run on."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, core {sorted(os.sched_getaffinity(0))}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print a row each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=whole(2), default=10, metavar="N", help="2 or more (default: 10)")
    parser.add_argument("--most", type=whole(2), default=256, metavar="N", help="requests that run (default: 256)")
    parser.add_argument("--runner", action="store_true", help="time the inputs of vLLM's model runner too (minutes)")
    options = parser.parse_args(arguments)
    os.environ.update(vllm_engine.environment(1, 1))
    try:
        version = installed()
    except Missing as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    running = [count for count in RUNNING if count <= options.most]
    rng = np.random.default_rng(0)
    measures: dict[str, Callable[[], Iterator[Point]]] = {
        "Scheduler": lambda: scheduler_points(False, running, rng),
        "AsyncScheduler": lambda: scheduler_points(True, running, rng),
    }
    with tempfile.TemporaryDirectory() as folder:
        if options.runner:
            runner = Runner(running[-1], Path(folder))
            measures["inputs of the model runner"] = lambda: runner.points(running)
        found: dict[str, list[list[Point]]] = {name: [] for name in measures}
        turns = [name for _ in range(options.repeats + 1) for name in measures]
        for name in tqdm(turns, unit="run", dynamic_ncols=True, leave=False, disable=None):
            found[name].append(list(measures[name]()))
    print(f"vLLM {version}, Python {platform.python_version()}, {processor()}")
    print(f"microseconds, {options.repeats} repeats after one to warm up, 1 to {running[-1]} requests running")
    print(f"{'':28}{'a step':>18}{'a running request':>20}{'an admission':>18}{'worst point':>13}")
    for name, repeats in found.items():
        row = costs(repeats[1:])
        shown = [f"{_micro(value):.2f}" for value in row.columns.values()] + ["-"] * (3 - len(row.columns))
        print(f"{name:28}{shown[0]:>18}{shown[1]:>20}{shown[2]:>18}{row.worst:>12.0%}")
    return 0


def _micro(value: Interval) -> Interval:
    return Interval(1e6 * value.mean, 1e6 * value.half_width)
