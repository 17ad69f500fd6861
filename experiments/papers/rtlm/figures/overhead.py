"""What prediction and scheduling cost: milliseconds a request, and shares of the mean response time (rtlm/main)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from experiments.figures.drawing import Panels, provenance_of
from experiments.figures.stored import Stored, of, ordering
from experiments.figures.style import Look, save
from experiments.figures.write import written
from experiments.papers.rtlm.figures.shared import MODELS, draw, over_seeds

SWEEP = "rtlm/main"
KEYS = ["model", "cluster", "load"]
MILLISECONDS = {"predictor_seconds": "predictor (ms)", "overhead_seconds": "scheduler (ms)"}
SHARES = {"predicting_share": "predicting (%)", "scheduling_share": "scheduling (%)"}
LOOKS = {"predicting (%)": Look("#332288", "o"), "scheduling (%)": Look("#dd4433", "s", (4, 2))}
ABOUT = (
    "System rtlm, averaged over workloads. Milliseconds: the mean of a request, in the runs of the first seed. The "
    "predictor's is what one prediction took when it was measured, and is charged to the simulated clock; its share "
    "holds the wait for it too. The scheduler's are the measured costs of a decision and of a ranked request."
)


def make(stored: Stored, output: Path) -> list[Path]:
    """Draw the shares and write the table; their files."""
    table = of(stored.table(SWEEP), system="rtlm")
    shares = over_seeds(table.assign(**{name: 100 * table[name] for name in SHARES}), KEYS, SHARES).rename(
        columns=SHARES
    )
    found = milliseconds(stored, of(table, seed=table["seed"].min())).merge(shares, on=KEYS)
    found = found.sort_values(KEYS, key=ordering((*MODELS, "rtlm_server")))
    drawn = pd.concat([found.assign(part=name, share=found[name]) for name in SHARES.values()])
    panels = Panels(
        "load",
        "share",
        "cluster",
        "model",
        lines="part",
        xlabel="load",
        zero="",
        ylabel="share of mean response time (%)",
    )
    caption = f"{ABOUT} Bars: 95 % intervals over seeds. {provenance_of(table)}"
    return [
        *save(draw(drawn, panels, caption, LOOKS), output / "overhead"),
        *written(
            found, output / "overhead", "Overhead of prediction and scheduling, a request",
            f"{ABOUT} Shares of the mean response time, with 95 % intervals over seeds.",
            dict.fromkeys(MILLISECONDS.values(), ".3f") | dict.fromkeys(SHARES.values(), ".2f"),
        ),
    ]  # fmt: skip


def milliseconds(stored: Stored, table: pd.DataFrame) -> pd.DataFrame:
    """A row for each model, platform and load: the mean milliseconds of a request in the runs of `table`."""
    means = [1000 * stored.requests(SWEEP, run, list(MILLISECONDS)).mean() for run in table["run"]]
    found = table[KEYS].reset_index(drop=True).join(pd.DataFrame(means).reset_index(drop=True))
    return found.groupby(KEYS, as_index=False)[list(MILLISECONDS)].mean().rename(columns=MILLISECONDS)
