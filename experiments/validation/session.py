"""One validation: its settings, its profile, the real runs and the simulated ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, ListConfig

from experiments.validation.alike import differences
from experiments.validation.drift import at_speed, readings_of, speed
from experiments.validation.engines import NAMES, Engine
from experiments.validation.replay import (
    Case,
    asynchronous,
    capacity,
    compose_case,
    real_folder,
    run_real,
    run_simulated,
)
from profiles import machine
from profiles.measuring.anchors import Reading
from profiles.profile import DeviceProfile, load_path
from profiles.release import uncorrected
from sim import Device

POLICIES = Path(__file__).parents[1] / "conf" / "policy"


class Validation:
    """What one command compares: its settings `cfg`, and the `overrides` that made them."""

    def __init__(self, cfg: DictConfig, overrides: Sequence[str]) -> None:
        check(cfg, overrides)
        machine.hold(cfg.threads, cfg.cores)  # before anything loads torch
        self.cfg = cfg
        self.overrides = overrides
        self.root = Path(cfg.results) / cfg.name
        self.profile, self.raw = profile_of(cfg, self.root)
        self.anchor = tuple(self.profile.provenance["grid"]["anchor"]) if self.has_anchor else None
        self.device = device_of(self.profile, {})
        self.engine: Engine | None = None
        self.seeds = range(cfg.seed, cfg.seed + cfg.traces)
        self.rates = rates_of(cfg) or [self._rate(share) for share in numbers(cfg.load)]
        self.cases = {
            (rate, seed, policy): self.case(policy, rate, seed)
            for rate in self.rates
            for seed in self.seeds
            for policy in cfg.policies
        }

    @property
    def has_anchor(self) -> bool:
        """Whether the profile was measured with an anchor, both of whose phases it says."""
        return "anchor" in self.profile.provenance

    def case(self, policy: str, rate: float, seed: int) -> Case:
        """One trace under one policy."""
        return compose_case(self.overrides, policy, rate, seed, self.device)

    def _rate(self, share: float) -> float:
        """`share` of the requests/s that the simulator says the first policy can serve, to three digits."""
        probe = self.case(self.cfg.policies[0], 1.0, self.cfg.seed)
        return float(f"{share * capacity(probe, self.device):.3g}")

    def in_turn(self) -> Iterator[tuple[Case, int]]:
        """Each real run, repeat by repeat; who of the policies comes first changes from one repeat to the next."""
        policies = list(self.cfg.policies)
        for repeat in range(self.cfg.repeats):
            turn = repeat % len(policies)
            for rate in self.rates:
                for seed in self.seeds:
                    for policy in policies[turn:] + policies[:turn]:
                        yield self.cases[rate, seed, policy], repeat

    def serve(self) -> None:
        """Make the real runs that are not there yet."""
        todo = [(case, repeat) for case, repeat in self.in_turn() if self.folder(case, repeat).state != "complete"]
        seconds = sum(float(run_simulated(case, self.device)["finished"].max()) for case, _ in todo)
        say(f"{len(todo)} real runs of {self.cfg.repeats * len(self.cases)} to make, about {seconds / 60:.0f} min")
        if not todo:
            return
        with ExitStack() as stack:
            engine = self.engine = stack.enter_context(closing(open_engine(self.cfg)))
            facts = engine.facts
            machine.check_held(facts, self.cfg.threads, self.cfg.cores)
            for line in differences(self.profile.provenance, facts):
                say(line)
            self.device = device_of(self.profile, engine.limits)
            for number, (case, repeat) in enumerate(todo):
                run_real(case, repeat, self.root, engine, self.device, self.anchor)
                say(f"{number + 1}/{len(todo)}: {case.policy} at {case.rate:g} requests/s, repeat {repeat + 1}")

    def folder(self, case: Case, repeat: int) -> Any:
        """Where a real run is kept."""
        return real_folder(case, repeat, self.root)

    def real(self, case: Case) -> list[pd.DataFrame]:
        """The tables of the real runs of `case`."""
        folders = [self.folder(case, repeat) for repeat in range(self.cfg.repeats)]
        return [pd.read_parquet(folder.path / "requests.parquet") for folder in folders]

    def summaries(self, case: Case) -> list[dict[str, Any]]:
        """What is kept of the real runs of `case` beside their tables."""
        return [self.folder(case, repeat).summary() for repeat in range(self.cfg.repeats)]

    def simulated(self, case: Case) -> pd.DataFrame:
        """What the simulator says of `case` by what was timed, on a device with the limits that the real engine had."""
        return run_simulated(case, device_of(self.raw, self.summaries(case)[0]["limits"]))

    def anchored(self, case: Case) -> list[list[Reading]]:
        """The anchor's readings around and in each real run of `case`; nothing if one of them has none."""
        read = [readings_of(summary) for summary in self.summaries(case)] if self.has_anchor else []
        return read if all(read) else []

    def speeds(self, case: Case) -> list[dict[str, float]]:
        """For each phase how many times as long as for the profile the anchor took during each real run of `case`."""
        readings = [one for other in self.cases.values() for run in self.anchored(other) for one in run]
        runs = zip(self.summaries(case), self.real(case), strict=True) if self.anchored(case) else []
        return [speed(self.profile, readings, summary, float(table["finished"].max())) for summary, table in runs]

    def corrected(self, case: Case) -> list[pd.DataFrame]:
        """What the simulator says of each real run of `case`, at the speed that the engine's anchor had then."""
        limits = self.summaries(case)[0]["limits"]
        return [run_simulated(case, device_of(at_speed(self.profile, one), limits)) for one in self.speeds(case)]


def say(line: str) -> None:
    """Tell whoever waits; results alone go to the standard output."""
    print(line, file=sys.stderr, flush=True)


def numbers(given: Any) -> list[float]:
    """One number, or several."""
    return [float(value) for value in given] if isinstance(given, (list, ListConfig)) else [float(given)]


def rates_of(cfg: DictConfig) -> list[float]:
    """The rates that `cfg` names, requests/s; none if it leaves them to `load`."""
    return [] if cfg.rate is None else numbers(cfg.rate)


def check(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """ValueError for settings that make no sense."""
    if cfg.engine not in NAMES:
        raise ValueError(f"engine must be one of {', '.join(NAMES)}, got {cfg.engine!r}")
    for name in ("repeats", "traces", "seconds", "max_num_seqs", "max_num_batched_tokens", "max_model_len"):
        if not cfg[name] > 0:
            raise ValueError(f"{name} must be positive, got {cfg[name]}")
    for name, values in (("rate", rates_of(cfg)), ("load", numbers(cfg.load))):
        if any(not value > 0 for value in values):
            raise ValueError(f"{name} must be positive, got {cfg[name]}")
    if cfg.requests is not None and not cfg.requests > 0:
        raise ValueError(f"requests must be positive, got {cfg.requests}")
    if not cfg.tolerance >= 0:
        raise ValueError(f"tolerance must not be negative, got {cfg.tolerance}")
    known = sorted(path.stem for path in POLICIES.glob("*.yaml"))
    for policy in cfg.policies:
        if policy.split()[0] not in known:
            raise ValueError(f"unknown policy {policy!r}; known: {', '.join(known)}")
    if not cfg.policies:
        raise ValueError("policies must name one policy or more")
    if given := [override for override in overrides if override.startswith("policy=")]:
        raise ValueError(f"{given[0]}: say policies=[{given[0].removeprefix('policy=')},...]")


def profile_of(cfg: DictConfig, root: Path) -> tuple[DeviceProfile, DeviceProfile]:
    """The profile that `cfg` names, or the one of this validation, measured now unless it is there.

    Then the same by what was timed, drift and all.
    """
    measured_by = "hf" if cfg.engine == "hf" else "vllm"
    if cfg.profile is not None:
        return with_raw(Path(cfg.profile), matching(load_path(cfg.profile), cfg, measured_by))
    path = root / "profile" / f"{cfg.model}-{measured_by}.json"
    if not path.is_file():
        settings = [f"model={cfg.model}", f"engine={measured_by}", f"threads={cfg.threads}", f"output={path}"]
        settings += [f"cores={'null' if cfg.cores is None else list(cfg.cores)}".replace(" ", "")]
        settings += [f"async_scheduling={asynchronous(cfg)}"]
        settings += cfg.measure.split() if cfg.measure else own_grid(measured_by, cfg)
        say(f"measuring {cfg.model} on this machine: tokenyard profile measure {' '.join(settings)}")
        # In a process of its own: two engines in one would share memory and threads. It imports from where this one
        # did, whatever lies in the current folder.
        line = [sys.executable, "-P", "-m", "experiments.cli", "profile", "measure", *settings]
        imports = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
        done = subprocess.run(line, env={**os.environ, "PYTHONPATH": imports}, stdout=sys.stderr, check=False)
        if done.returncode:
            raise ValueError(
                f"tokenyard profile measure ended {done.returncode}: see above; profile=FILE takes one that is there"
            )
    return with_raw(path, load_path(path))


def with_raw(path: Path, profile: DeviceProfile) -> tuple[DeviceProfile, DeviceProfile]:
    """`profile` of the file `path`, and the same without its anchor's correction."""
    return profile, uncorrected(path, profile) if "anchor" in profile.provenance else profile


def matching(profile: DeviceProfile, cfg: DictConfig, engine: str) -> DeviceProfile:
    """`profile`; ValueError unless it is of the model of `cfg`, and measured by `engine`."""
    found = (profile.model, profile.provenance.get("engine"))
    if found != (cfg.model, engine):
        raise ValueError(f"{cfg.profile} is of {found[0]} by {found[1]}, where {cfg.model} by {engine} is wanted")
    return profile


def own_grid(engine: str, cfg: DictConfig) -> list[str]:
    """What `profile measure` is told beyond engine and model: each number of rows that a batch can have is a point.

    Steps do not rise evenly with the rows of a batch: on a CPU three can take longer than four. vLLM has no more rows
    than seats, and no more tokens in a step than its budget.
    """
    rows = cfg.max_num_seqs
    batches = sorted(
        {
            *range(1, max(2, min(rows, 16)) + 1),
            *(count for count in (24, 32, 48, 64, 128) if count < rows),
            max(2, rows),
        }
    )
    listed = ",".join(map(str, batches))
    if engine == "hf":
        return ["grid=quick", f"grid.decode.batch=[{listed}]", f"grid.prefill.batch=[{listed}]"]
    prompts = ",".join(str(count) for count in (1, 2, 4, 8) if count <= max(2, rows))
    mixed = ",".join(map(str, sorted({1, max(1, rows - 1)})))
    return [
        "grid=vllm",
        "grid.passes=3",
        f"grid.decode.batch=[{listed}]",
        f"grid.prefill.batch=[{prompts}]",
        f"grid.max_prefill_tokens={cfg.max_num_batched_tokens}",
        f"grid.mixed.batch=[{mixed}]",
    ]


def device_of(profile: DeviceProfile, limits: Mapping[str, int]) -> Device:
    """The simulated device under `profile`, with the `limits` of the real engine (fields of `Device`)."""
    sizes: dict[str, Any] = {"kv_tokens": profile.kv_capacity_tokens, "max_model_len": profile.max_model_len, **limits}
    return Device("engine", "gpu", profile, **sizes, kv_bytes_per_token=profile.kv_bytes_per_token)


def open_engine(cfg: DictConfig) -> Engine:
    """Start the engine of `cfg`; raises `Unavailable`."""
    if cfg.engine == "hf":
        from experiments.validation.engines import hf

        return hf.start(cfg.model, cfg.seed)
    limits = (cfg.max_num_seqs, cfg.max_num_batched_tokens, cfg.max_model_len)
    if cfg.engine == "vllm":
        from experiments.validation.engines import vllm

        return vllm.VLLM(cfg.model, cfg.seed, cfg.threads, cfg.async_scheduling, *limits)
    from experiments.validation.engines import vllm_server

    return vllm_server.VLLMServer(cfg.model, cfg.seed, cfg.threads, *limits)
