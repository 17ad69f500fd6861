"""The Hydra application `tokenyard`: one run, or with `-m` a sweep over many."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from tqdm import tqdm

from experiments.build import Inputs, at_load, build, read_inputs
from experiments.collect import collect
from experiments.reference import quoted
from experiments.results import Folder, digest, identity
from experiments.sweep import Outcome, SweepLog
from experiments.tables import render
from experiments.validation.measured import report as report_errors
from experiments.validation.measured import summarized, with_measured
from sim import Record, Tables, simulate
from sim.metrics import summary

LABELS = ("client", "task")  # of a trace's requests, kept where it has them


def run(cfg: DictConfig, choices: dict[str, str], overrides: list[str], progress: bool) -> Outcome:
    """Make the results of `cfg`, unless they are there; a failure is written down beside them, and returned."""
    start = time.perf_counter()
    label = " ".join(overrides)
    folder: Folder | None = None
    try:
        if choices.get("system", "").endswith("_oracle") and choices["predictor"] != "oracle":
            raise ValueError(
                f"system={choices['system']} goes with predictor=oracle, got {choices['predictor']}: for another "
                "predictor give policy= in place of system="
            )
        cfg = at_load(cfg)
        inputs = read_inputs(cfg)
        made_of = identity(cfg, choices, inputs.digests())
        folder = Folder(Path(cfg.results) / cfg.name / digest(made_of))
        if folder.state == "complete":
            folder.made_of()
            return Outcome(str(folder.path), "skipped", label)
        folder.begin(made_of)
        metrics, tables = measure(cfg, inputs, progress)
        folder.complete(tables.requests, tables.steps if cfg.record != "requests" else None, metrics, overrides)
    except Exception as error:  # the sweep goes on, names the runs that failed, and exits 1
        if folder is not None and folder.state == "running":
            folder.fail(error, overrides)
        where = "" if folder is None else str(folder.path)
        return Outcome(where, "failed", label, time.perf_counter() - start, f"{type(error).__name__}: {error}")
    return Outcome(str(folder.path), "complete", label, time.perf_counter() - start)


def measure(cfg: DictConfig, inputs: Inputs, progress: bool) -> tuple[dict[str, object], Tables]:
    """Simulate, and compute the metrics of the run."""
    try:
        record = Record[cfg.record.upper()]
    except KeyError:
        raise ValueError(f"record must be requests or steps, got {cfg.record!r}") from None
    parts = build(cfg, inputs)
    with tqdm(total=len(parts.requests), unit="request", desc="simulate", disable=not progress) as bar:
        tables = simulate(
            parts.requests,
            parts.policy,
            parts.cluster,
            parts.predictor,
            horizon=cfg.horizon,
            record=record,
            leap=cfg.leap,
            progress=bar.update,
        )
    metrics = summary(tables.requests, cfg.warmup)
    labels = {name: inputs.replay[name].to_numpy()[tables.requests["id"]] for name in LABELS if name in inputs.replay}
    requests = with_measured({**tables.requests, **labels}, inputs.replay, len(inputs.training))
    more = {"calibration": parts.calibration, "provenance": inputs.provenance, **summarized(requests)}
    return {**metrics, **more}, replace(tables, requests=requests)


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def _app(cfg: DictConfig) -> None:
    settings = HydraConfig.get()
    choices = {key: str(value) for key, value in settings.runtime.choices.items() if not key.startswith("hydra/")}
    single = settings.mode == RunMode.RUN
    overrides = list(settings.overrides.task)
    reference = None if cfg.reference is None else str(cfg.reference)
    if not isinstance(cfg.seed, ListConfig):
        replace(run(cfg, choices, overrides, progress=single), reference=reference).append()
        return
    others = [override for override in overrides if not override.startswith("seed=")]
    for seed in cfg.seed:
        of_seed = OmegaConf.merge(cfg, {"seed": seed})
        outcome = run(of_seed, choices, [*others, f"seed={seed}"], progress=single)
        replace(outcome, reference=reference).append()


def main() -> None:
    """Run, then say what became of each run and print the table of those that are complete; exit 1 if one failed."""
    log = SweepLog()
    sys.argv[1:] = quoted(sys.argv[1:])
    try:
        _app()
    except KeyboardInterrupt:
        print("interrupted: finished runs stay, the same command does the rest", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        failed = report(log.outcomes())
        log.close()
    if failed:
        raise SystemExit(1)


def report(outcomes: list[Outcome]) -> int:
    """Print the outcomes and the table of the complete runs; the number of failures."""
    if not outcomes:
        return 0
    states = [outcome.state for outcome in outcomes]
    for outcome in outcomes:
        if outcome.state == "failed":
            print(f"failed: {outcome.overrides or 'the defaults'}: {outcome.error}", file=sys.stderr)
            if outcome.folder:
                print(f"        see {outcome.folder}/status.json", file=sys.stderr)
    done = [Folder(Path(outcome.folder)) for outcome in outcomes if outcome.state != "failed"]
    if done:
        try:
            table = collect(done)
            print(render(table, outcomes[0].reference))
        except ValueError as error:
            print(f"no table: {error}", file=sys.stderr)
            return states.count("failed") + 1
        collected = set(table["run"]) if len(table) else set()
        whole = [folder for folder in done if folder.path.name in collected]
        states += ["failed"] * (len(done) - len(whole))  # damaged since: collect has named them
        for folder in whole:
            if text := report_errors(folder, folder.path.parent / "figures" / f"validation-{folder.path.name}"):
                print(f"\n{text}")
        print(f"results: {done[0].path.parent}")
    print(
        f"{len(outcomes)} runs: {states.count('complete')} made now, {states.count('skipped')} complete already, "
        f"{states.count('failed')} failed",
        file=sys.stderr,
    )
    return states.count("failed")


if __name__ == "__main__":
    main()
