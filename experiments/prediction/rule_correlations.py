"""Does any rule of uncertainty foretell how long an answer is? Correlations of prompt features with output tokens.

    tokenyard evaluate rules                          # the SmolLM2 recording that ships
    tokenyard evaluate rules --prompts prompts.parquet --lengths lengths.parquet --model Qwen2.5-7B

The features are the six rule scores of each scorer, their sum and maximum, the prompt's length, and the foretelling of
the log-linear fit to length and rules (predictor=rules), each prompt by a fit to the other folds. Brackets are 95 %
bootstrap intervals over prompts. p is of Kendall's tau; those of the six rules of a scorer are corrected for being six
(Holm), the others stand for themselves. With several sampled answers to a prompt, their mean is its length.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from tqdm import tqdm

from experiments.prediction.fitting import fit_of, out_of_fold
from experiments.prediction.folds import folds_of
from experiments.prediction.samples import UNKNOWN, Sampled, sampled
from sim import Request
from traces.formats.castillo import of_model, read
from traces.kinds import KINDS
from traces.recorded import SHIPPED, read_recording
from traces.text import chitchat
from traces.text.cache import cached_scores
from traces.text.scoring import SCORERS

FOLDS = 5
Floats = NDArray[np.float64]
COEFFICIENTS: dict[str, Callable[[Floats, Floats], float]] = {
    "kendall": lambda x, y: float(stats.kendalltau(x, y).statistic),
    "spearman": lambda x, y: float(stats.spearmanr(x, y).statistic),
    "pearson": lambda x, y: float(stats.pearsonr(x, y).statistic),
}


@dataclass(frozen=True, slots=True)
class Correlation:
    """A coefficient and the ends of its bootstrap interval; nan for a feature that is the same of every prompt."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Row:
    """A feature against output tokens; `share` of the prompts have it above 0, `p` is corrected for the rules."""

    scorer: str
    feature: str
    share: float
    kendall: Correlation
    spearman: Correlation
    pearson: Correlation
    p: float


def correlations(feature: Floats, lengths: Floats, draws: NDArray[np.int64]) -> dict[str, Correlation]:
    """Each coefficient of `feature` and `lengths`, and its interval over the resamples `draws` (resamples, prompts)."""
    found = {}
    for name, coefficient in COEFFICIENTS.items():
        drawn = [
            coefficient(feature[rows], lengths[rows])
            for rows in draws
            if np.ptp(feature[rows]) and np.ptp(lengths[rows])
        ]
        if not np.ptp(feature) or not drawn:
            found[name] = Correlation(np.nan, np.nan, np.nan)
        else:
            found[name] = Correlation(coefficient(feature, lengths), *np.quantile(drawn, [0.025, 0.975]).tolist())
    return found


def holm(p: Floats) -> Floats:
    """Holm's correction of p values for how many they are; those that are nan are not counted."""
    corrected = np.full(len(p), np.nan)
    order = [at for at in np.argsort(p) if not np.isnan(p[at])]
    largest = 0.0
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p[at]))
        corrected[at] = largest
    return corrected


def features(data: Sampled, scorer: str) -> dict[str, Floats]:
    """Name -> value for each prompt: the rules first, in the order of `KINDS`."""
    scores = cached_scores(data.texts(), scorer)
    scored = zip(data.requests, scores.tolist(), strict=True)
    data = replace(data, requests=tuple(replace(request, features=tuple(row)) for request, row in scored))
    foretold, _ = out_of_fold(fit_of("rules"), data, folds_of(data.texts(), FOLDS), lambda: None)
    return {
        **dict(zip(KINDS, scores.T, strict=True)),
        "sum": scores.sum(axis=1),
        "max": scores.max(axis=1),
        "prompt_tokens": np.array([request.prompt_tokens for request in data.requests], dtype=float),
        "fit": foretold.mean,
    }


def table(data: Sampled, bootstrap: int, seed: int) -> list[Row]:
    """A row for each scorer and feature."""
    lengths = data.answers.mean(axis=1)
    draws = np.random.default_rng(seed).integers(len(lengths), size=(bootstrap, len(lengths)))
    rows = []
    for scorer in SCORERS:
        found = features(data, scorer)
        p = np.array([stats.kendalltau(values, lengths).pvalue for values in found.values()])
        p[: len(KINDS)] = holm(p[: len(KINDS)])
        for (name, values), chance in zip(tqdm(found.items(), desc=scorer, disable=None), p.tolist(), strict=True):
            share = float((values > 0).mean())
            rows.append(Row(scorer, name, share, **correlations(values, lengths, draws), p=chance))
    return rows


def recording(path: Path) -> Sampled:
    """The recorded answers to chat messages, one to each; the texts are those of chitchat-dataset."""
    answers, texts = read_recording(path), chitchat.messages()
    requests = [
        Request(number, 0.0, tokens, UNKNOWN, prompt_text=texts[message])
        for number, (message, tokens) in enumerate(
            zip(answers["message_id"], answers["prompt_tokens"].tolist(), strict=True)
        )
    ]
    lengths = answers[["output_tokens"]].to_numpy(dtype=np.int64)
    return Sampled(answers.attrs["provenance"]["model"], tuple(requests), lengths, np.full(len(requests), "chitchat"))


def render(rows: list[Row]) -> str:
    """A line a row."""
    names = list(COEFFICIENTS)
    lines = ["scorer  feature        above 0  " + "".join(f"{name:<24}" for name in names) + "p"]
    for row in rows:
        cells = [getattr(row, name) for name in names]
        shown = "".join(f"{f'{cell.value:+.3f} [{cell.low:+.3f}, {cell.high:+.3f}]':<24}" for cell in cells)
        lines.append(f"{row.scorer:<8}{row.feature:<15}{row.share:<9.1%}{shown}{row.p:.2g}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Correlate and print; 1, with one line on stderr, for input that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--recording", type=Path, default=SHIPPED, help="of tokenyard trace record (default: the shipped one)"
    )
    parser.add_argument("--prompts", type=Path, help="instead of a recording, parquet: dataset, prompt_id, prompt_text")
    parser.add_argument("--lengths", type=Path, help="with --prompts, parquet: ... model, input_tokens, output_tokens")
    parser.add_argument("--model", help="with --prompts: a model, or part of its name")
    parser.add_argument("--bootstrap", type=int, default=1000, help="resamples of the prompts (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="a JSON object a row")
    options = parser.parse_args(arguments)
    given = (options.prompts, options.lengths, options.model)
    if any(given) and not all(given):
        parser.error("--prompts, --lengths and --model go together")
    if options.bootstrap < 1:
        parser.error(f"--bootstrap must be at least 1, got {options.bootstrap}")
    try:
        data = (
            sampled(of_model(read(options.prompts, options.lengths), options.model))
            if any(given)
            else recording(options.recording)
        )
        rows = table(data, options.bootstrap, options.seed)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"tokenyard evaluate rules: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    if options.json:
        print(
            "\n".join(json.dumps({"model": data.model, "prompts": len(data.requests), **asdict(row)}) for row in rows)
        )
    else:
        print(f"{data.model}: {len(data.requests)} prompts, {data.answers.shape[1]} answers to each\n{render(rows)}")
    return 0
