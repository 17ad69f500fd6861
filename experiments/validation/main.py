"""The simulator beside a real engine on this machine: one trace, replayed by both.

    tokenyard validate engine=hf model=gpt2 trace=short_dialogue rate=[2,3] --json

Takes the settings of conf/validate.yaml (`--help`). First the profile is measured, by the engine that will serve;
then each trace is replayed in real time under each policy, `repeats` times, the first repeat of all before the second
of any, so that what the machine does beside hits all alike. `experiments.validation` compares the
two, and says what each policy brought.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import hydra
import pandas as pd
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig

from experiments.validation import report
from experiments.validation.engines import NAMES, Engine, Unavailable
from experiments.validation.replay import Case, capacity, compose_case, real_folder, run_real, run_simulated
from profiles.profile import DeviceProfile, load_path
from sim import Device

POLICIES = Path(__file__).parents[1] / "conf" / "policy"
LISTS = ("rate", "load", "policies")  # settings of which a command line may give several, separated by commas


class Validation:
    """What one command compares: its settings `cfg`, and the `overrides` that made them."""

    def __init__(self, cfg: DictConfig, overrides: Sequence[str]) -> None:
        check(cfg, overrides)
        self.cfg = cfg
        self.overrides = overrides
        self.root = Path(cfg.results) / cfg.name
        self.profile = profile_of(cfg, self.root)
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
            self.device = device_of(self.profile, engine.limits)
            for number, (case, repeat) in enumerate(todo):
                run_real(case, repeat, self.root, engine, self.device)
                say(f"{number + 1}/{len(todo)}: {case.policy} at {case.rate:g} requests/s, repeat {repeat + 1}")

    def folder(self, case: Case, repeat: int) -> Any:
        """Where a real run is kept."""
        return real_folder(case, repeat, self.root)

    def real(self, case: Case) -> list[pd.DataFrame]:
        """The tables of the real runs of `case`."""
        folders = [self.folder(case, repeat) for repeat in range(self.cfg.repeats)]
        return [pd.read_parquet(folder.path / "requests.parquet") for folder in folders]

    def simulated(self, case: Case) -> pd.DataFrame:
        """What the simulator says of `case`, on a device with the limits that the real engine had."""
        limits = self.folder(case, 0).summary()["limits"]
        return run_simulated(case, device_of(self.profile, limits))


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


def profile_of(cfg: DictConfig, root: Path) -> DeviceProfile:
    """The profile that `cfg` names; or the one of this validation, measured now unless it is there."""
    measured_by = "hf" if cfg.engine == "hf" else "vllm"
    if cfg.profile is not None:
        return matching(load_path(cfg.profile), cfg, measured_by)
    path = root / "profile" / f"{cfg.model}-{measured_by}.json"
    if not path.is_file():
        settings = [f"model={cfg.model}", f"engine={measured_by}", f"threads={cfg.threads}", f"output={path}"]
        settings += cfg.measure.split() if cfg.measure else own_grid(measured_by, cfg.max_num_seqs)
        say(f"measuring {cfg.model} on this machine: tokenyard profile measure {' '.join(settings)}")
        # In a process of its own: two engines in one would share memory and threads. It imports from where this one
        # did, whatever lies in the current folder.
        line = [sys.executable, "-P", "-m", "experiments.cli", "profile", "measure", *settings]
        path = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
        done = subprocess.run(line, env={**os.environ, "PYTHONPATH": path}, stdout=sys.stderr, check=False)
        if done.returncode:
            raise ValueError(
                f"tokenyard profile measure ended {done.returncode}: see above; profile=FILE takes one that is there"
            )
    return load_path(path)


def matching(profile: DeviceProfile, cfg: DictConfig, engine: str) -> DeviceProfile:
    """`profile`; ValueError unless it is of the model of `cfg`, and measured by `engine`."""
    found = (profile.model, profile.provenance.get("engine"))
    if found != (cfg.model, engine):
        raise ValueError(f"{cfg.profile} is of {found[0]} by {found[1]}, where {cfg.model} by {engine} is wanted")
    return profile


def own_grid(engine: str, rows: int) -> list[str]:
    """What `profile measure` is told beyond engine and model: for static batches each number of rows is a point.

    Steps do not rise evenly with the rows of a batch: on a CPU three can take longer than four.
    """
    if engine == "vllm":
        return ["grid=vllm"]
    batches = sorted(
        {
            *range(1, max(2, min(rows, 16)) + 1),
            *(count for count in (24, 32, 48, 64, 128) if count < rows),
            max(2, rows),
        }
    )
    listed = ",".join(map(str, batches))
    return ["grid=quick", f"grid.decode.batch=[{listed}]", f"grid.prefill.batch=[{listed}]"]


def device_of(profile: DeviceProfile, limits: dict[str, int]) -> Device:
    """The simulated device under `profile`, with the `limits` of the real engine (fields of `Device`)."""
    sizes = {"kv_tokens": profile.kv_capacity_tokens, "max_model_len": profile.max_model_len} | limits
    return Device("engine", "gpu", profile, **sizes, kv_bytes_per_token=profile.kv_bytes_per_token)


def open_engine(cfg: DictConfig) -> Engine:
    """Start the engine of `cfg`; raises `Unavailable`."""
    if cfg.engine == "hf":
        from experiments.validation.engines import hf

        return hf.start(cfg.model, cfg.threads, cfg.seed)
    limits = (cfg.max_num_seqs, cfg.max_num_batched_tokens, cfg.max_model_len)
    if cfg.engine == "vllm":
        from experiments.validation.engines import vllm

        return vllm.VLLM(cfg.model, cfg.seed, cfg.threads, *limits)
    from experiments.validation.engines import vllm_server

    return vllm_server.VLLMServer(cfg.model, cfg.seed, cfg.threads, *limits)


def validate(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Measure, serve, simulate, compare; print the comparison and draw it."""
    validation = Validation(cfg, overrides)
    validation.serve()
    report.write(validation)


def arguments(given: Sequence[str]) -> list[str]:
    """A command line as Hydra takes it: --json is json=true, rate=2,3 a list, and what holds an = is quoted."""
    words = []
    for word in given:
        name, _, value = word.partition("=")
        if word == "--json":
            word = "json=true"
        elif name in LISTS and value and value[0] not in "[n":
            word = f"{name}=[{','.join(map(quoted, value.split(',')))}]"
        elif name == "measure" and value != "null":
            word = f"{name}={quoted(value)}"
        words.append(word)
    return words


def quoted(value: str) -> str:
    """A value that Hydra would not take bare, in quotes."""
    return f"'{value}'" if "=" in value and value[0] not in "'\"" else value


@hydra.main(version_base="1.3", config_path="../conf", config_name="validate")
def _app(cfg: DictConfig) -> None:
    try:
        validate(cfg, list(HydraConfig.get().overrides.task))
    except BrokenPipeError:  # whoever reads the output has read enough
        raise
    except (ValueError, OSError, ModuleNotFoundError, Unavailable) as error:
        sys.exit(f"tokenyard validate: {error}")


def main() -> None:
    """The command line; what is wrong is said in one line."""
    sys.argv[1:] = arguments(sys.argv[1:])
    try:
        _app()
    except KeyboardInterrupt:
        print("interrupted: real runs that are complete stay, the same command does the rest", file=sys.stderr)
        raise SystemExit(130) from None
