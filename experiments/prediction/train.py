"""Train a predictor on sampled answer lengths, judge it on prompts that it never saw, and save its weights.

    tokenyard train predictor=gbm data=castillo data.model=Qwen2.5-7B

Takes the settings of conf/train.yaml (`--help`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import hydra
import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from experiments.prediction import fitting
from experiments.prediction.concordance import resamples
from experiments.prediction.samples import Sampled, sampled, with_scores
from experiments.prediction.scores import Foretold, score
from experiments.prediction.table import render, rows
from experiments.prediction.trained import keys
from policies.predictor import weights
from profiles.machine import command, cpu_name, library_versions, today
from sim.policy import Predictor
from traces.checksum import sha256
from traces.formats.castillo import of_model, read
from traces.locate import public_file
from traces.split import check_share, in_training, normalized


def train(cfg: DictConfig, name: str) -> None:
    """Fit the predictor of `cfg`, called `name`, and write it with its held-out scores."""
    if not cfg.predictor.get("_partial_"):
        raise ValueError(f"predictor={name} is not fitted to answers, so there is nothing to train")
    for setting, value in {"bootstrap": cfg.bootstrap, "data.clip": cfg.data.clip}.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{setting} must be a whole number from 1, got {value!r}")
    check_share(cfg.data.training_share)
    output = Path(cfg.output)
    if output.suffix != ".npz":
        raise ValueError(f"output must be a file that ends in .npz, got {cfg.output}")
    output.parent.mkdir(parents=True, exist_ok=True)
    versions = library_versions("numpy", "scikit-learn", "lightgbm", "torch", "transformers", "spacy")
    files = {kind: public_file(cfg.data[kind]) for kind in ("prompts", "lengths")}
    table = read(files["prompts"], files["lengths"], clip=cfg.data.clip)
    data = sampled(of_model(table, cfg.data.model))
    if name in fitting.RULES:
        data = with_scores(data)
    if name in fitting.ENCODED:
        fitting.remember_embeddings(data)
    trains = np.array([in_training(normalized(text), cfg.data.training_share) for text in data.texts()])
    training, held = (data.only(np.flatnonzero(part)) for part in (trains, ~trains))
    if not (training.requests and held.requests):
        raise ValueError(f"data.training_share={cfg.data.training_share} puts all {len(trains)} prompts in one part")
    say(f"{data.model}: {len(training.requests)} prompts train {name}, {len(held.requests)} are held out")
    with tqdm(total=2, desc=f"fit {name}", unit="step") as bar:
        predictor = instantiate(cfg.predictor, _convert_="all")(training.requests, training.answers.tolist())
        bar.update()
        bar.set_description("judge it")
        scores = judged(held, name, predictor, cfg)
        bar.update()
    provenance = {
        "predictor": name,
        "settings": OmegaConf.to_container(cfg.predictor, resolve=True),
        "data": {kind: {"file": path.name, "sha256": sha256(path)} for kind, path in files.items()},
        "licence": cfg.data.licence,
        "model": data.model,
        "clip": cfg.data.clip,
        "clipped_samples": table.attrs["clipped"][data.model],
        "split": f"trained on prompts of which in_training(normalized(text), {cfg.data.training_share})",
        "training_prompts": len(training.requests),
        "training_keys": keys(training.texts()),
        "samples": data.answers.shape[1],
        "held_out": {"prompts": len(held.requests), **scores},
        "command": command("train", ("output", "data.prompts", "data.lengths")),
        "date": today(),
        "processor": cpu_name(),
        "versions": versions,
    }
    weights.save(predictor, output, provenance)
    say(f"{output}: {output.stat().st_size / 1e6:.2f} MB")


def judged(held: Sampled, name: str, predictor: Predictor, cfg: DictConfig) -> dict[str, Any]:
    """Print the scores on the held-out prompts; those of the predictor, with intervals."""
    foretold = Foretold.of([predictor.predict(request) for request in tqdm(held.requests, "held out", unit="prompt")])
    drawn = resamples(np.random.default_rng(cfg.seed), len(held.requests), cfg.bootstrap)
    cost = {name: {"milliseconds": fitting.timed(held, predictor.predict)}}
    found = rows(held.model, score(held, {name: foretold}, drawn), cost)
    tqdm.write(render(found))
    return {key: value for key, value in found[0].items() if isinstance(value, dict)}


def say(line: str) -> None:
    """Tell whoever waits; scores alone go to the standard output."""
    print(line, file=sys.stderr, flush=True)


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(cfg: DictConfig) -> None:
    """The command line; what is wrong is said in one line."""
    try:
        train(cfg, HydraConfig.get().runtime.choices["predictor"])
    except (ValueError, TypeError, OSError, ModuleNotFoundError, RuntimeError) as error:  # the last are torch's
        sys.exit(f"tokenyard train: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        print("interrupted: what was parsed and encoded is kept", file=sys.stderr)
        sys.exit(130)
