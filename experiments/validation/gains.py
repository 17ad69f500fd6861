"""What a policy brings over the reference policy, on the real engine and in the simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from experiments.stats import Interval, interval
from sim.metrics import response_time, ttft

MEANS = {"TTFT": ttft, "E2E": response_time}
Tables = Mapping[str, Mapping[int, Sequence[pd.DataFrame]]]  # policy -> seed of the trace -> its runs


def change(table: pd.DataFrame, reference: pd.DataFrame, metric: str) -> float:
    """The mean of `metric` in `table` over that in `reference`, less 1: negative where the policy is faster."""
    ours, theirs = (float(np.mean(MEANS[metric](part))) for part in (table, reference))
    return ours / theirs - 1


def gains(real: Tables, simulated: Tables) -> pd.DataFrame:
    """A row for each policy but the first, the reference, and each metric's mean: the change from the reference.

    `real` (a share) is the mean over pairs of real runs of equal trace and repeat, with the half width of its 95 %
    Student's t interval; `simulated` the mean over traces. `inside` says whether the simulated change lies in the real
    one's interval (None with fewer than two pairs), and `same_sign` whether both say faster, or both slower.
    """
    reference, *others = real
    rows = []
    for policy in others:
        for metric in MEANS:
            found = _changes(real, policy, reference, metric)
            foretold = float(np.mean(_changes(simulated, policy, reference, metric)))
            measured = interval(pd.Series(found))
            rows.append(
                {
                    "policy": policy,
                    "reference": reference,
                    "metric": metric,
                    "pairs": len(found),
                    "real": measured.mean,
                    "half_width": measured.half_width,
                    "simulated": foretold,
                    "inside": abs(foretold - measured.mean) <= measured.half_width if len(found) > 1 else None,
                    "same_sign": foretold * measured.mean > 0,
                }
            )
    return pd.DataFrame(rows)


def _changes(tables: Tables, policy: str, reference: str, metric: str) -> list[float]:
    """The change of each pair of runs."""
    return [
        change(one, other, metric)
        for seed, runs in tables[policy].items()
        for one, other in zip(runs, tables[reference][seed], strict=True)
    ]


def render(table: pd.DataFrame) -> str:
    """The table of `gains` as text, in per cent of the reference's mean."""
    shown = pd.DataFrame(
        {
            "policy": table["policy"],
            "mean of": table["metric"],
            f"real, over {table['reference'].iloc[0]}": [
                f"{Interval(100 * mean, 100 * half):+.1f} %"
                for mean, half in zip(table["real"], table["half_width"], strict=True)
            ],
            "simulated": [f"{100 * value:+.1f} %" for value in table["simulated"]],
            "simulated within the interval": table["inside"].map({True: "yes", False: "no", None: "one pair"}),
        }
    )
    return shown.to_string(index=False)
