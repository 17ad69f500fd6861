"""What a policy brings over the reference policy, on the real engine and in the simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from experiments.tables.stats import Interval, change
from sim.metrics import response_time, ttft

MEANS = {"TTFT": ttft, "E2E": response_time}
Tables = Mapping[str, Mapping[int, Sequence[pd.DataFrame]]]  # policy -> seed of the trace -> its runs


def gains(real: Tables, simulated: Tables) -> pd.DataFrame:
    """A row for each policy but the first, the reference, and each metric's mean: the change from the reference.

    `real` (a share) is the ratio of the means over pairs of real runs of equal trace and repeat, less 1, with the half
    width of its 95 % interval; `simulated` the same over traces. Negative is faster. `inside` says whether the
    simulated change lies in the real one's interval (None without one), and `same_sign` whether both say
    faster, or both slower.
    """
    reference, *others = real
    rows = []
    for policy in others:
        for metric in MEANS:
            measured, pairs = _change(real, policy, reference, metric)
            foretold = _change(simulated, policy, reference, metric)[0].mean
            rows.append(
                {
                    "policy": policy,
                    "reference": reference,
                    "metric": metric,
                    "pairs": pairs,
                    "measured": measured.mean,
                    "half_width": measured.half_width,
                    "simulated": foretold,
                    "inside": abs(foretold - measured.mean) <= half if (half := measured.half_width) >= 0 else None,
                    "same_sign": foretold * measured.mean > 0,
                }
            )
    return pd.DataFrame(rows)


def _change(tables: Tables, policy: str, reference: str, metric: str) -> tuple[Interval, int]:
    """The change of a mean, a share, over pairs of runs, and how many there are."""
    pairs = [
        [float(np.mean(MEANS[metric](part))) for part in pair]
        for seed, runs in tables[policy].items()
        for pair in zip(runs, tables[reference][seed], strict=True)
    ]
    found = change(*zip(*pairs, strict=True))
    return Interval(found.mean / 100, found.half_width / 100), len(pairs)


def render(table: pd.DataFrame) -> str:
    """The table of `gains` as text, in per cent of the reference's mean."""
    shown = pd.DataFrame(
        {
            "policy": table["policy"],
            "mean of": table["metric"],
            f"measured, over {table['reference'].iloc[0]}": [
                f"{Interval(100 * mean, 100 * half):+.1f} %"
                for mean, half in zip(table["measured"], table["half_width"], strict=True)
            ],
            "simulated": [f"{100 * value:+.1f} %" for value in table["simulated"]],
            "simulated within the interval": table["inside"].map({True: "yes", False: "no", None: "one pair"}),
        }
    )
    return shown.to_string(index=False)
