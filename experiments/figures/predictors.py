"""How well each predictor ranks answers by length, and how far below the ceiling of sampling noise: a panel a model.

    tokenyard evaluate predictors --prompts P --lengths L --model Qwen2.5-7B --json > scores.jsonl
    tokenyard figures predictors scores.jsonl --output figures

Filled points: Kendall's tau over all prompts; hollow ones: among the prompts of one data set, averaged over data sets.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from experiments.figures.style import RC, save, sheet

SCORES = {"tau": "over all prompts", "tau_within": "within a data set"}
COLOR = "#332288"


def read(paths: list[Path]) -> pd.DataFrame:
    """A row a model, predictor and score: value, low and high; ValueError for a file without scores."""
    rows = []
    for path in paths:
        try:
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        except ValueError as error:
            raise ValueError(f"{path}: not the output of tokenyard evaluate predictors --json: {error}") from error
        rows += [
            {"model": line["model"].split("--")[-1], "predictor": line["predictor"], "score": score, **line[score]}
            for line in lines
            if line["kind"] in ("predictor", "ceiling")
            for score in SCORES
        ]
    if not rows:
        raise ValueError(f"no scores in {', '.join(map(str, paths))}")
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame) -> Figure:
    """Predictors from the worst to the best of the first model; its ceiling at the top."""
    models = list(dict.fromkeys(table["model"]))
    first = table[(table["model"] == models[0]) & (table["score"] == "tau")].sort_values("value")
    names = first["predictor"].tolist()
    caption = (
        "Kendall's tau-b of predicted and sampled output tokens, each prompt foretold by a fit to the other folds; "
        "lines: 95 % bootstrap intervals over prompts. The ceiling is the mean of a prompt's other samples. Filled: "
        f"{SCORES['tau']}; hollow: {SCORES['tau_within']}, averaged."
    )
    with mpl.rc_context(RC):
        figure, [panels] = sheet(1, len(models), 0.3 + 0.26 * len(names), 0.2, caption, 1.45)
        for place, model in zip(panels, models, strict=True):
            own = table[table["model"] == model]
            for score, lift in (("tau", -0.12), ("tau_within", 0.18)):
                found = own[own["score"] == score].set_index("predictor").reindex(names)
                heights = [number + lift for number in range(len(names))]
                place.hlines(heights, found["low"], found["high"], color=COLOR, linewidth=1.4)
                filled = COLOR if score == "tau" else "white"
                place.plot(
                    found["value"], heights, "o", markersize=5, markerfacecolor=filled, markeredgecolor=COLOR, zorder=3
                )
            place.axvline(0, color="#999999", linewidth=0.8)
            place.set(title=model, xlabel="Kendall's tau", yticks=range(len(names)), ylim=(-0.6, len(names) - 0.4))
            place.set_yticklabels(names if place is panels[0] else [])
            place.grid(visible=False, axis="y")
    return figure


def main() -> None:
    """Read, draw, save; print where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", type=Path, nargs="+", help="what tokenyard evaluate predictors --json printed")
    parser.add_argument("--output", type=Path, default=Path(), help="folder of the figure (default: the current one)")
    arguments = parser.parse_args()
    try:
        figure = draw(read(arguments.scores))
    except (OSError, ValueError) as error:
        sys.exit(f"tokenyard figures predictors: {error}")
    for path in save(figure, arguments.output / "predictors"):
        print(path)


if __name__ == "__main__":
    sys.exit("this is now: tokenyard figures predictors")
