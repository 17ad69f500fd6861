"""Train a router: a double deep Q-network that learns, in the simulation, which model each request should go to.

    tokenyard learn name=mine seed=0

Takes the settings of conf/learn.yaml (`--help`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from tqdm import tqdm

from experiments.identity.digests import digest_of
from experiments.identity.of_run import code_by, named_in
from experiments.learning.settings import whole
from experiments.run.written import write_whole
from experiments.settings.toplevel import SEED, checked_folder
from profiles.machine import command, cpu_name, library_versions, today

ASIDE = ("name", "results", "processes", "hydra")  # settings that change no network


def learn(cfg: DictConfig, typed: str) -> Path:
    """Train the network of one seed, or finish its training; the file in which it is.

    ValueError names a setting that cannot be, or that let nothing be learned; then no network is written.
    """
    from experiments.learning import curve
    from experiments.learning.env import BestEffort
    from experiments.learning.play import players
    from experiments.learning.training import Training, held_out
    from policies.routing import network

    settings = instantiate(cfg.learner, _convert_="all")
    check(cfg)
    env = BestEffort(cfg)
    longest = max(1, round(env.rates[1] * env.seconds))
    if settings.steps >= longest:
        raise ValueError(
            f"learner.steps must be below the decisions of an episode, of which the longest has {longest} "
            f"(rates, seconds), got {settings.steps}"
        )
    folder = checked_folder(str(checked_folder(cfg.results, "learn")), cfg.name) / f"seed{cfg.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    plain = {key: value for key, value in plainly(cfg).items() if key not in ASIDE}
    code = code_by(named_in(plain) | {"experiments.learning.training.Training", "experiments.learning.env.BestEffort"})
    made_of = {"configuration": digest_of(plain)[:16], "code": digest_of(code)[:16]}
    training = Training(env.features, settings, cfg.seed)
    begin(folder, cfg, made_of)
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.is_file():
        training.restore(checkpoint)
        say(f"{folder}: goes on after {training.decisions} of {settings.decisions} decisions")
    if not training.over:
        with (
            players(cfg, cfg.processes) as submit,
            tqdm(total=settings.decisions, initial=training.decisions, unit="decision", desc=f"seed {cfg.seed}") as bar,
        ):
            training.run(submit, held_out(cfg, env.workloads), cfg.evaluation.every, checkpoint, bar)
    curve.write(training.curve, folder)
    if not training.learner.updates:
        raise ValueError(
            f"learner.first_update={settings.first_update} decisions were never remembered, but {len(training.replay)} "
            f"of {training.decisions}: there was no update, and no network is written; remove {folder}"
        )
    assert training.best is not None
    provenance = {
        **made_of,
        "settings": plain,
        "seed": cfg.seed,
        "decisions": training.decisions,
        "episodes": training.episodes,
        "updates": training.learner.updates,
        "minutes": round(training.seconds / 60, 2),
        "performance": round(training.best_performance, 4),
        "command": typed,
        "date": today(),
        "processor": cpu_name(),
        "versions": library_versions("numpy", "torch", "gymnasium"),
    }
    file = folder / "network.npz"
    network.save(network.Network(env.features, training.best.weights, training.best.biases, provenance), file)
    say(
        f"{file}: {file.stat().st_size / 1e3:.1f} kB, {training.decisions} decisions in {training.seconds / 60:.1f} "
        f"minutes, performance {training.best_performance:.4f} on held-out traces"
    )
    return file


def check(cfg: DictConfig) -> None:
    """ValueError names the first setting beside the learner's that cannot be."""
    for name in ("processes", "evaluation.every", "evaluation.rates"):
        if not whole(value := OmegaConf.select(cfg, name)):
            raise ValueError(f"{name} must be a whole number from 1, got {value!r}")
    for name in ("seed", "evaluation.seed"):
        if problem := SEED.problem(value := OmegaConf.select(cfg, name)):
            raise ValueError(f"{name}={value} {problem}")


def plainly(cfg: DictConfig) -> dict[str, Any]:
    """`cfg` in plain values."""
    found = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def begin(folder: Path, cfg: DictConfig, made_of: dict[str, str]) -> None:
    """Write down what is trained in `folder`; ValueError where something else was begun there."""
    kept = folder / "config.yaml"
    text = OmegaConf.to_yaml(OmegaConf.create({"made_of": made_of, **plainly(cfg)}))
    if kept.is_file() and (folder / "checkpoint.pt").is_file():
        before = OmegaConf.to_container(OmegaConf.load(kept))
        assert isinstance(before, dict)
        if differing := [name for name, value in made_of.items() if before["made_of"][name] != value]:
            raise ValueError(f"{folder} holds a training of another {differing[0]}: choose another name, or remove it")
    write_whole(kept, text)


def say(line: str) -> None:
    """Tell whoever waits."""
    print(line, file=sys.stderr, flush=True)


@hydra.main(version_base="1.3", config_path="../conf", config_name="learn")
def main(cfg: DictConfig) -> None:
    """The command line; what is wrong is said in one line."""
    try:
        typed = command("learn", ("results", "name"))
        seeds = list(cfg.seed) if isinstance(cfg.seed, ListConfig) else [cfg.seed]
        if not seeds:
            raise ValueError("seed=[] has no seed: give one, or several as seed=[0,1,2]")
        for seed in seeds:
            of_seed = cfg.copy()
            of_seed.seed = seed
            learn(of_seed, typed)
    except InstantiationException as error:  # of a part that refuses its settings
        sys.exit(f"tokenyard learn: {' '.join(str(error.__cause__ or error).split())}")
    except (ValueError, TypeError, OSError, ModuleNotFoundError, RuntimeError) as error:  # the last are torch's
        sys.exit(f"tokenyard learn: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        print("interrupted: the same command goes on after the last checkpoint", file=sys.stderr)
        sys.exit(130)
