"""How well each predictor of RT-LM's ladder foretells the output length, by model and workload (rtlm/ladder)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from scipy.stats import kendalltau, pearsonr, spearmanr

from experiments.figures.drawing import Panels, provenance_of
from experiments.figures.stored import Stored, ordering
from experiments.figures.style import Look, save
from experiments.figures.write import written
from experiments.papers.rtlm.figures.shared import MODELS, draw, over_seeds

SWEEP = "rtlm/ladder"
PREDICTED = ("predicted_tokens", "output_tokens")
LADDER = ("prompt_length", "single_rule", "weighted_rules", "lw")
COEFFICIENTS = {"Pearson's r": pearsonr, "Spearman's rho": spearmanr, "Kendall's tau": kendalltau}
WORKLOADS = {
    "blended_skill_talk": Look("#332288", "o"),
    "convai2": Look("#117733", "s"),
    "empathetic_dialogues": Look("#dd4433", "^"),
    "personachat": Look("#e69f00", "D"),
}
ABOUT = (
    "Of predicted and true output tokens of a run's requests; means over seeds, bars: 95 % intervals. The lengths "
    "are paired with the messages at a rank correlation of {correlation} with an index of all kinds and the words."
)


def make(stored: Stored, output: Path) -> list[Path]:
    """Draw the figure and write the table; their files."""
    table = stored.table(SWEEP)
    coefficients = pd.DataFrame([correlations(stored.requests(SWEEP, run, PREDICTED)) for run in table["run"]])
    table = table.reset_index(drop=True).join(coefficients)
    keys = ["model", "trace.workload", "predictor"]
    found = over_seeds(table, keys, COEFFICIENTS, averaged=())
    found = found.sort_values(keys, key=ordering((*MODELS, *LADDER)), ignore_index=True)
    drawn = pd.concat([found.assign(row=name, value=found[name]) for name in COEFFICIENTS])
    panels = Panels(
        "predictor", "value", "row", "model", lines="trace.workload", legend="workload", zero="nothing foretold",
        order=LADDER, right=2.4,
    )  # fmt: skip
    about = ABOUT.format(correlation=" or ".join(f"{value:g}" for value in sorted(set(table["trace.correlation"]))))
    return [
        *save(draw(drawn, panels, f"{about} {provenance_of(table)}", WORKLOADS), output / "ladder"),
        *written(
            found, output / "ladder", "Correlation of predicted and true output tokens", about,
            dict.fromkeys(COEFFICIENTS, ".3f"),
        ),
    ]  # fmt: skip


def correlations(requests: pd.DataFrame) -> dict[str, float]:
    """Each coefficient of predicted and true output tokens, NaN where one of them is constant."""
    predicted, true = (requests[name] for name in PREDICTED)
    if predicted.nunique() < 2 or true.nunique() < 2:
        return dict.fromkeys(COEFFICIENTS, float("nan"))
    return {name: float(of(predicted, true).statistic) for name, of in COEFFICIENTS.items()}
