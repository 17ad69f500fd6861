"""Times measured in turn: processes of several builds of the engine, each of which is asked for one measurement at a
time.

A process answers on its standard output, a JSON line for each line that it is sent: first what is to be measured, then
null for each measurement. So the builds take turns on a machine whose speed changes, and each has a memory of its own.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import simpy

from sim.build import BUILD, VARIABLE

TIMEOUTS = 1_000_000


class Build(NamedTuple):
    """An interpreter, and what its environment says beyond, or (empty) does not say, what this process's does."""

    python: str
    environment: Mapping[str, str]


# The engine's Python, though it was compiled; and what was compiled.
BUILDS = {"pure": Build(sys.executable, {VARIABLE: "1"}), "compiled": Build(sys.executable, {VARIABLE: ""})}


def timeout_seconds() -> float:
    """Seconds of one bare SimPy timeout."""

    def process(env: simpy.Environment) -> Any:
        for _ in range(TIMEOUTS):
            yield env.timeout(1)

    env = simpy.Environment()
    env.process(process(env))
    start = time.perf_counter()
    env.run()
    return (time.perf_counter() - start) / TIMEOUTS


def serve(prepare: Callable[..., Callable[[], dict[str, Any]]]) -> None:
    """Answer a `Worker`: `prepare` what its arguments name, then do it as often as asked."""
    once: Callable[[], dict[str, Any]] | None = None
    for line in sys.stdin:
        arguments = json.loads(line)
        try:
            if arguments is not None:
                once, answer = prepare(*arguments), {"build": BUILD}
            else:
                assert once is not None
                answer = once()
        except ValueError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


class Worker:
    """A process of `build` in which `module.serve()` answers."""

    def __init__(self, build: Build, module: str) -> None:
        environment = {name: text for name, text in {**os.environ, **build.environment}.items() if text}
        others = environment.pop("PYTHONPATH", None)  # another environment has what is installed there
        if build.python == sys.executable:
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), others)))
        self._process = subprocess.Popen(
            [build.python, "-P", "-c", f"from {module} import serve_lines; serve_lines()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def ask(self, *arguments: Any) -> dict[str, Any]:
        """Its answer, to `arguments` or to none; ValueError for one that says what is wrong, or if it is gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(arguments or None), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise ValueError(f"the process that measures ended with exit code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def measured(module: str, name: str, azure: Path, repeats: int, builds: Mapping[str, Build]) -> list[dict[str, Any]]:
    """The line of a case of `module` for each of `builds`, which take turns. ValueError where one cannot be had."""
    workers: dict[str, Worker] = {}
    try:
        kinds = {}
        for label, build in builds.items():
            workers[label] = Worker(build, module)
            kinds[label] = workers[label].ask(name, str(azure))["build"]
            if label in BUILDS and kinds[label] != label:
                raise ValueError(f"--builds {label}: the engine of {build.python} is {kinds[label]}")
        rounds = [{label: worker.ask() for label, worker in workers.items()} for _ in range(repeats)]
    finally:
        for worker in workers.values():
            worker.close()
    lines = []
    for label, kind in kinds.items():
        found = [one[label] for one in rounds]
        ratios = [one.pop("timeouts") for one in found]
        middle = statistics.median(one.pop("seconds") for one in found)
        named = {"case": name, "build": kind} | ({} if label in ("", *BUILDS) else {"python": label})
        lines.append({
            **named,
            **found[-1],
            "seconds": round(middle, 3),
            "requests_per_second": round(found[-1]["requests"] / middle),
            "timeouts_per_request": round(statistics.median(ratios), 1),
            "timeouts_spread": [round(min(ratios), 1), round(max(ratios), 1)],
            "repeats": repeats,
        })  # fmt: skip
    return lines
