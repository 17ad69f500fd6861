"""Judge the predictor of a run on the requests that the run replays, also without a text, and where errors are drawn.

    tokenyard evaluate run trace=azure_2023_conv trace.window=2000 predictor=ssjf_confusion
    tokenyard evaluate run trace=vtc trace.window=1500 predictor=trail seed=3 +bootstrap=500 +json=true

Takes every setting of a run (`tokenyard run --help`), and two of its own: `bootstrap` is how many resamples of the
requests the 95 % intervals are of (default 300; the time goes with it and with the square of the requests), `json`
prints an object in place of the table, with an interval for every number. The columns are those of `tokenyard evaluate
predictors --help`; each request has one answer, so that there is no ceiling. `within`: among the requests of one task.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import hydra
import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig

from experiments.prediction.concordance import resamples
from experiments.prediction.samples import Sampled
from experiments.prediction.scores import Foretold, score
from experiments.prediction.table import render, rows
from experiments.run.asked import ask
from experiments.run.inputs import read_inputs
from experiments.run.parts import build
from experiments.run.training import fitted, keeping_rows
from traces.requests import to_requests

OWN = re.compile(r"\+{0,2}(bootstrap|json)=")  # settings that are no run's
BOOTSTRAP = 300


def judged(cfg: DictConfig, name: str, bootstrap: int) -> tuple[dict[str, Any], str]:
    """The scores of the predictor of `cfg`, called `name`, with intervals, and where the requests come from."""
    cfg = keeping_rows(cfg, bool(fitted(cfg)))
    inputs = read_inputs(cfg)
    predictor = build(cfg, inputs.cluster, inputs.training).predictor
    requests = tuple(to_requests(inputs.replay))
    if len(requests) < 2:
        raise ValueError(f"{len(requests)} request is too few to judge by")
    answers = np.array([[request.truth.output_tokens] for request in requests], dtype=np.int64)
    tasks = np.array([request.task or "" for request in requests])
    data = Sampled(str(cfg.model), requests, answers, tasks)
    foretold = Foretold.of([predictor.predict(request) for request in requests])
    weights = resamples(np.random.default_rng(cfg.seed), len(requests), bootstrap)
    [found] = rows(data.model, score(data, {name: foretold}, weights), {})
    return found, inputs.provenance["trace"]


@hydra.main(version_base="1.3", config_path="../conf", config_name="config")
def _app(cfg: DictConfig) -> None:
    try:
        bootstrap = cfg.get("bootstrap", BOOTSTRAP)
        if isinstance(bootstrap, bool) or not isinstance(bootstrap, int) or bootstrap < 1:
            raise ValueError(f"bootstrap must be a whole number of resamples, at least 1, got {bootstrap!r}")
        choices = HydraConfig.get().runtime.choices
        found, provenance = judged(cfg, choices["predictor"], bootstrap)
    except (ValueError, OSError, ModuleNotFoundError, HydraException) as error:
        sys.exit(f"tokenyard evaluate run: {' '.join(str(error).split())}")
    about = {"trace": choices["trace"], "seed": cfg.seed, "requests": cfg.trace.get("requests"), "made_of": provenance}
    print(json.dumps({**about, **found}) if cfg.get("json") else f"{provenance}\n{render([found])}")


def main() -> None:
    """Judge and print; what is wrong is said in one line."""
    ask("evaluate run", OWN, __doc__, _app)
