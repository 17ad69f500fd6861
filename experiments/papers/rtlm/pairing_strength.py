"""How strongly do RT-LM's rules foretell the lengths of real answers? Where trace=rtlm_dialogue has `correlation` from.

    tokenyard evaluate pairing       # the SmolLM2 recording that ships
    tokenyard evaluate pairing --prompts prompts.parquet --lengths lengths.parquet

For each model, and each data set and all of them together: Spearman's rank correlation of one answer's length with what
the log-linear fit to length and rules (predictor=rules) foretells of it, each prompt by a fit to the other folds.
Brackets are 95 % bootstrap intervals over prompts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from experiments.prediction.rule_correlations import Correlation, correlations, features, recording
from experiments.prediction.samples import Sampled, sampled
from traces.formats.castillo import read
from traces.recorded import SHIPPED

CHAT = ("Alpaca", "DollyDataset", "ShareGPT")  # of CASTILLO's seven; the other four ask for code


@dataclass(frozen=True, slots=True)
class Strength:
    """Spearman's correlation of foretold and true length over the `prompts` of a data set."""

    model: str
    dataset: str
    prompts: int
    spearman: Correlation


def strength(data: Sampled, dataset: str, bootstrap: int, seed: int) -> Strength:
    """Of `data`, with the first of the answers to each prompt alone."""
    one = replace(data, answers=data.answers[:, :1])
    draws = np.random.default_rng(seed).integers(len(one.requests), size=(bootstrap, len(one.requests)))
    found = correlations(features(one, "parser")["fit"], one.answers[:, 0].astype(float), draws)
    return Strength(data.model, dataset, len(one.requests), found["spearman"])


def parts(table: pd.DataFrame, datasets: list[str]) -> Iterator[tuple[str, Sampled]]:
    """The prompts of each model, of each of `datasets` and of all of them; ValueError for an unknown data set."""
    known = sorted(table["dataset"].unique())
    if unknown := sorted(set(datasets) - set(known)):
        raise ValueError(f"no data set {', '.join(unknown)} among {', '.join(known)}")
    chosen = table[table["dataset"].isin(datasets)]
    for _, rows in chosen.groupby("model"):
        for dataset, some in [*rows.groupby("dataset"), ("all", rows)]:
            yield str(dataset), sampled(some)


def render(rows: list[Strength]) -> str:
    """A line a row, and the median over the models of each data set."""
    width = max(len(row.model) for row in rows)
    lines = [
        f"{row.model:<{width}}  {row.dataset:<13}{row.prompts:>6}  {row.spearman.value:+.3f} "
        f"[{row.spearman.low:+.3f}, {row.spearman.high:+.3f}]"
        for row in rows
    ]
    for dataset in dict.fromkeys(row.dataset for row in rows):
        values = [row.spearman.value for row in rows if row.dataset == dataset]
        lines.append(
            f"{'median':<{width}}  {dataset:<13}{'':>6}  {np.median(values):+.3f} "
            f"({len(values)} models, {min(values):+.3f} to {max(values):+.3f})"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Correlate and print; 1, with one line on stderr, for input that cannot be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--prompts", type=Path, help="instead of the recording, parquet: dataset, prompt_id, prompt_text"
    )
    parser.add_argument("--lengths", type=Path, help="with --prompts, parquet: ... model, input_tokens, output_tokens")
    parser.add_argument("--datasets", nargs="+", default=[*CHAT], help=f"which to use (default: {' '.join(CHAT)})")
    parser.add_argument("--bootstrap", type=int, default=1000, help="resamples of the prompts (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the resamples (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="a JSON object a row")
    options = parser.parse_args(arguments)
    if (options.prompts is None) != (options.lengths is None):
        parser.error("--prompts and --lengths go together")
    if options.bootstrap < 1:
        parser.error(f"--bootstrap must be at least 1, got {options.bootstrap}")
    try:
        pairs = (
            list(parts(read(options.prompts, options.lengths), options.datasets))
            if options.prompts
            else [("chitchat", recording(SHIPPED))]
        )
        rows = [
            strength(data, dataset, options.bootstrap, options.seed)
            for dataset, data in tqdm(pairs, desc="correlate", disable=None)
        ]
    except (ValueError, OSError, ModuleNotFoundError) as error:
        print(f"tokenyard evaluate pairing: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    print("\n".join(json.dumps(asdict(row)) for row in rows) if options.json else render(rows))
    return 0
