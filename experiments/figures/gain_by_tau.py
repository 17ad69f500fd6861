"""How much of the oracle's gain each predictor keeps, beside how well it ranks: a line per predictor.

    tokenyard -m experiment=predictors                                    # the learned predictors, and the oracle
    tokenyard -m experiment=predictors policy=fifo predictor=constant     # what gains are taken from
    tokenyard figures gain_by_tau results/predictors          # into results/predictors/figures/

The gain of a run is what its policy takes off the mean response time of FIFO on the same trace, its predictor's own
time included; the share kept is the mean gain over the oracle's mean gain on the same seeds. Kendall's tau-b is between
the predicted and the true output tokens of the run's own requests, which the predictor never saw. Prints the table too.
All runs must have the same load: only policy, predictor and seed may differ.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import kendalltau

from experiments.figures.forest import LINE, dot
from experiments.figures.place import inches
from experiments.figures.style import OTHER_COLORS, RC, provenance, save, sheet
from experiments.run.results import Folder
from experiments.tables.collect import collect, complete_folders
from experiments.tables.labels import settings_of
from experiments.tables.reference import REPLAY
from experiments.tables.stats import Interval, change, interval

BASELINE, ORACLE = "fifo", "oracle"


def read(root: Path) -> pd.DataFrame:
    """The collected runs below `root`, each with the tau of its predictions (NaN where all are equal)."""
    folders = complete_folders(root)
    table = collect(folders)
    taus = {folder.path.name: tau(folder) for folder in folders}
    return table.assign(tau=table["run"].map(taus))


def tau(folder: Folder) -> float:
    """Kendall's tau-b between predicted and true output tokens of a run's requests."""
    requests = pd.read_parquet(folder.path / "requests.parquet", columns=["predicted_tokens", "output_tokens"])
    return float(kendalltau(requests["predicted_tokens"], requests["output_tokens"]).statistic)


def points(table: pd.DataFrame) -> pd.DataFrame:
    """A row per policy and predictor, best first: `tau`, `gain` (s) and `kept`, means over seeds with 95 % intervals.

    ValueError without FIFO or oracle runs of the same seeds, or if something else than policy, predictor and seed
    differs between the runs, such as the requests that a seed replayed.
    """
    named = table.assign(name=_names(table))
    base = named[named["policy"] == BASELINE].drop_duplicates("seed").set_index("seed")["response_time_mean"]
    if REPLAY in table and (table.groupby("seed")[REPLAY].nunique() > 1).any():
        raise ValueError(
            "not paired: the runs of a seed replayed different requests; where predictors keep different rows for "
            "training give trace.training_share=..., the same in all of them"
        )
    rows = []
    for policy, runs in named[named["policy"] != BASELINE].groupby("policy"):
        means = runs.pivot_table(index="seed", columns="name", values="response_time_mean")
        if ORACLE not in means or base.empty:
            raise ValueError(f"{policy} needs runs with predictor=oracle, and {BASELINE} runs, to compare with")
        gains = (-means).add(base, axis=0)
        for name, own in runs.groupby("name"):
            if gains[[name, ORACLE]].isna().any(axis=None):
                raise ValueError(f"{policy} with {name}: not every seed has an oracle and a {BASELINE} run")
            kept = _share(gains[name], gains[ORACLE])
            rows.append(
                {"policy": policy, "predictor": name, "seeds": len(own)}
                | {"tau": interval(own["tau"]), "gain": interval(gains[name]), "kept": kept}
            )
    if not rows:
        raise ValueError(f"every run is {BASELINE}: there is no gain to show")
    return pd.DataFrame(rows).sort_values("kept", key=lambda column: [-found.mean for found in column], kind="stable")


def _share(gains: pd.Series, oracle: pd.Series) -> Interval:
    """The ratio of two mean gains over the same seeds."""
    found = change(gains, oracle)
    return Interval(1 + found.mean / 100, found.half_width / 100)


def _names(table: pd.DataFrame) -> pd.Series:
    """What a run's predictor is called: its name, and those of its settings in which runs differ."""
    swept = [name for name in settings_of(table) if table[name].nunique(dropna=False) > 1]
    own = [name for name in swept if name.startswith("predictor.")]
    known = {"policy", "seed", "predictor", *own}
    others = [name for name in swept if name not in known and not name.startswith("policy/")]
    if others:
        raise ValueError(f"the runs differ in {', '.join(others)} too: give results of one load")
    names = table["predictor"].astype(str)
    for column in own:
        shown = " " + column.removeprefix("predictor.") + "=" + table[column].astype(str)
        names = names + shown.where(table[column].notna(), "")
    return names


def draw(found: pd.DataFrame, caption: str) -> Figure:
    """The share kept and tau side by side, a line a predictor in the order of the share, with 95 % intervals.

    A colour per policy, where there are several; a predictor that says the same of all has no tau.
    """
    labels = found["policy"] + " " + found["predictor"] if found["policy"].nunique() > 1 else found["predictor"]
    policies = list(dict.fromkeys(found["policy"]))
    ranks = [[one.mean for one in found[name]] for name in ("tau", "kept")]
    related = kendalltau(*ranks, nan_policy="omit").statistic
    if related == related:
        caption += f" Kendall's tau between the two columns, over predictors: {related:+.2f}."
    with mpl.rc_context(RC):
        left = inches(labels, RC["font.size"]) + 0.35
        figure, [[kept, taus]] = sheet(1, 2, LINE * len(found) + 0.3, 0.35, caption, left=left, gap=0.35)
        for height, (_, row) in enumerate(found.iterrows()):
            color = OTHER_COLORS[policies.index(row["policy"]) % len(OTHER_COLORS)]
            share = Interval(100 * row["kept"].mean, 100 * row["kept"].half_width)
            dot(kept, share, height, color)
            if row["tau"].mean == row["tau"].mean:
                dot(taus, row["tau"], height, color)
            else:
                taus.annotate("none: it says the same of all", (0, height), (4, 0), textcoords="offset points",
                              va="center", fontsize=8.5, color="#666666")  # fmt: skip
        for axes, label in (
            (kept, "share of the oracle's gain over FIFO (%)"),
            (taus, "Kendall's tau of the predictions"),
        ):
            axes.axvline(0, color="#999999", linewidth=1, zorder=1)
            axes.set(xlabel=label, yticks=range(len(found)), ylim=(len(found) - 0.4, -0.6))
            axes.set_yticklabels(labels if axes is kept else [])
            axes.tick_params(axis="y", length=0)
        kept.axvline(100, color="#999999", linestyle=":", linewidth=1, zorder=1)
    return figure


def main() -> None:
    """Read, print, draw, save; print where."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder of results, as `tokenyard -m` printed it: results/NAME")
    parser.add_argument("--output", type=Path, help="folder of the figures (default: RESULTS/figures)")
    arguments = parser.parse_args()
    try:
        table = read(arguments.results)
        found = points(table)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"tokenyard figures gain_by_tau: {error}")
    text = {"tau": "{:.3f}", "gain": "{:+.3f}", "kept": "{:.1%}"}
    shown = found.assign(**{name: [form.format(point) for point in found[name]] for name, form in text.items()})
    print("gain over FIFO in mean response time (s) and the share of the oracle's, mean over seeds ± half of its 95 %")
    print("interval; tau: Kendall's tau-b between predicted and true output tokens")
    print(shown.rename(columns={"kept": "share kept"}).to_string(index=False))
    caption = (
        f"{provenance(table)} Mean over {found['seeds'].max()} seeds; bars: 95 % intervals over traces. Gains are "
        "after the predictor's own time. Where tau said how much is gained, both columns would fall together."
    )
    for path in save(draw(found, caption), (arguments.output or arguments.results / "figures") / "gain_by_tau"):
        print(path)


if __name__ == "__main__":
    sys.exit("this is now: tokenyard figures gain_by_tau")
