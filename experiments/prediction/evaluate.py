"""Judge predictors of answer lengths on prompts that they never saw, against the ceiling that sampling noise sets.

    tokenyard evaluate predictors --prompts prompts.parquet --lengths lengths.parquet --model Qwen2.5-7B

Any pair of files in CASTILLO's format: prompts (dataset, prompt_id, prompt_text) and lengths (dataset, prompt_id,
model, input_tokens, output_tokens: a list, an entry a sampled answer). Each prompt is foretold by a fit to others;
copies of a prompt are kept together. Every prediction is held against every single sample. Columns:

  tau      Kendall's tau-b, averaged over the samples
  share    tau as a share of the ceiling's: the mean of a prompt's other samples against the one left out
  within   tau among the prompts of one data set, averaged over data sets by their prompts, and its share
  - tfidf  tau less that of TF-IDF ridge, on the same resamples
  R2 log   of the log length, by the predicted median; MAE: of the predicted mean, tokens
  pinball  loss in tokens, the mean over the levels 0.05, 0.10, ... 0.95
  CRPS     continuous ranked probability score of the predicted distribution, tokens: twice the pinball loss over all
           levels. The ceiling's distribution is the prompt's other samples: of nine 10/9 of the least that can be
  cover    share within the 50 % and the 90 % interval; width90: the mean width of the latter, tokens
  ms       median milliseconds of predict(), one prompt at a time, nothing cached; the rules' parse stands apart

Brackets are 95 % bootstrap intervals over prompts. Rule scores and embeddings are worked out once and kept in
results/cache (or $TOKENYARD_CACHE): the first run takes minutes longer. Needs pip install -e '.[text,predict]'.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from experiments.prediction import fitting
from experiments.prediction.concordance import resamples
from experiments.prediction.folds import folds_of
from experiments.prediction.samples import Sampled, sampled, with_scores
from experiments.prediction.scores import Foretold, score
from experiments.prediction.table import render, rows
from profiles.machine import cpu_name, library_versions, today
from traces.checksum import sha256
from traces.formats.castillo import CLIP, of_model, read


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path, required=True, help="parquet: dataset, prompt_id, prompt_text")
    parser.add_argument("--lengths", type=Path, required=True, help="parquet: ... model, input_tokens, output_tokens")
    parser.add_argument("--model", action="append", help="a model, or part of its name; again for more (default: all)")
    parser.add_argument("--predictors", default=",".join(fitting.NAMES), help="with commas (default: %(default)s)")
    parser.add_argument("--folds", type=int, default=5, help="of the cross-validation (default: %(default)s)")
    parser.add_argument("--bootstrap", type=int, default=1000, help="resamples of the prompts (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples (default: %(default)s)")
    parser.add_argument("--clip", type=int, default=CLIP, help="longest answer, tokens (default: %(default)s)")
    parser.add_argument("--group-near-duplicates", action="store_true", help="keep prompts that are alike in one fold")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, with an interval for every number")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Evaluate and print; 1, with one line on stderr, for input that cannot be used."""
    options = parse(arguments)
    try:
        evaluate(options)
    except BrokenPipeError:  # whoever reads the output has read enough
        raise
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"tokenyard evaluate predictors: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: what was parsed and encoded is kept", file=sys.stderr)
        return 130
    return 0


def evaluate(options: argparse.Namespace) -> None:
    """Judge each model's predictors in turn, and print as soon as one is done."""
    names = list(dict.fromkeys(options.predictors.split(",")))
    fits = {name: fitting.fit_of(name) for name in names}
    if options.bootstrap < 1:
        raise ValueError(f"bootstrap must be at least 1, got {options.bootstrap}")
    table = read(options.prompts, options.lengths, clip=options.clip)
    models = options.model or sorted(table["model"].unique())
    data = {model: sampled(of_model(table, model)) for model in models}
    if options.json:
        print(json.dumps(header(options, names, table.attrs["clipped"])), flush=True)
    with tqdm(total=len(models) * len(names) * options.folds, unit="fit") as bar:
        for found in data.values():
            folds = folds_of(found.texts(), options.folds, options.group_near_duplicates)
            scored, cost = judged(found, fits, folds, bar)
            weights = resamples(np.random.default_rng(options.seed), len(found.requests), options.bootstrap)
            result = rows(found.model, score(found, scored, weights), cost)
            report(options, found, result, folds, table.attrs["clipped"][found.model])


def judged(
    data: Sampled, fits: dict[str, fitting.Fit], folds: np.ndarray, bar: tqdm
) -> tuple[dict[str, Foretold], dict[str, dict[str, float]]]:
    """What each predictor foretells out of fold, and what one prediction costs."""
    if set(fits) & set(fitting.RULES):
        data = with_scores(data)
    foretold, cost, last = {}, {}, {}
    if set(fits) & set(fitting.ENCODED):
        fitting.remember_embeddings(data)
    for name, fit in fits.items():
        bar.set_description(f"{data.model} {name}")
        foretold[name], last[name] = fitting.out_of_fold(fit, data, folds, bar.update)
    for name, predictor in last.items():
        cost[name] = {"milliseconds": fitting.timed(data, predictor.predict)}
    if rules := set(fits) & set(fitting.RULES):
        parse_milliseconds = fitting.parse_milliseconds(data)
        for name in rules:
            cost[name]["parse_milliseconds"] = parse_milliseconds
    return foretold, cost


def report(
    options: argparse.Namespace, data: Sampled, found: list[dict[str, Any]], folds: np.ndarray, clipped: int
) -> None:
    """Print what was found of one model."""
    about = {
        "kind": "model",
        "model": data.model,
        "prompts": len(data.requests),
        "samples": data.answers.shape[1],
        "clipped_samples": clipped,
        "datasets": dict(Counter(data.datasets.tolist())),
        "fold_prompts": np.bincount(folds).tolist(),
    }
    if options.json:
        print("\n".join(map(json.dumps, [about, *found])), flush=True)
        return
    print(
        f"\n{data.model}: {len(data.requests)} prompts, {data.answers.shape[1]} samples each, {clipped} samples cut at "
        f"{options.clip} tokens; {options.folds} folds by prompt\n{render(found)}",
        flush=True,
    )


def header(options: argparse.Namespace, names: list[str], clipped: dict[str, int]) -> dict[str, Any]:
    """Where the numbers come from."""
    files = {name: getattr(options, name) for name in ("prompts", "lengths")}
    return {
        "kind": "header",
        "files": {name: {"path": str(path), "sha256": sha256(path)} for name, path in files.items()},
        "predictors": names,
        **{name: getattr(options, name) for name in ("folds", "bootstrap", "seed", "clip", "group_near_duplicates")},
        "clipped_samples": clipped,
        "processor": cpu_name(),
        "date": today(),
        "versions": library_versions("numpy", "scikit-learn", "lightgbm", "torch", "transformers", "spacy"),
    }
