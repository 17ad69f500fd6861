"""What predictions are worth to each policy: its change against FCFS on one engine, and what it keeps of its gain."""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments.figures.stored import Stored, against, of, over_seeds
from experiments.tables.stats import Interval, jackknife

SETTINGS = ("load",)
JCT = "response_time_mean"
TRACES = {"size_based/predictions": "recorded answers", "size_based/predictions_castillo": "CASTILLO"}
FCFS = {"ssjf": "ssjf_fcfs", "trail": "vllm", "ltr": "ltr_fcfs", "alise": "alise_fcfs", "fastserve": "fastserve_fcfs"}
LEARNED = {"ssjf": "ssjf_classifier", "trail": "trail", "ltr": "ltr", "alise": "alise"}  # each policy's own
ORACLE, SHUFFLED = "oracle", "shuffled"


def changes(stored: Stored) -> pd.DataFrame:
    """By trace, policy and predictor the change of the mean response time (%) and the share of the gain that is kept.

    The gain is the oracle's. FastServe asks for no prediction, and has a row of its own.
    """
    rows = []
    for sweep, table in stored.tables(TRACES).items():
        fcfs = stored.table(f"{sweep}_fcfs")
        for policy, engine in FCFS.items():
            reference = of(fcfs, system=engine)
            asks = policy in LEARNED
            own = of(table, policy=policy) if asks else of(fcfs, system=policy).assign(predictor="none")
            found = over_seeds(against(own, reference, [], [JCT]), ["predictor"], [JCT])
            for predictor, seeds, change in found.to_numpy():
                kept = _kept(reference, of(own, predictor=ORACLE), of(own, predictor=predictor)) if asks else None
                rows.append((TRACES[sweep], policy, predictor, seeds, change, kept))
    return pd.DataFrame(rows, columns=["trace", "policy", "predictor", "seeds", "change", "kept"])


def _kept(fcfs: pd.DataFrame, oracle: pd.DataFrame, own: pd.DataFrame) -> Interval:
    """The share of the oracle's gain over FCFS that a predictor keeps, over the seeds that all three have, in %."""
    values = pd.concat([one.set_index("seed")[JCT] for one in (fcfs, oracle, own)], axis=1, join="inner").to_numpy()
    return Interval(_share(values), float(jackknife([_share(np.delete(values, at, 0)) for at in range(len(values))])))


def _share(values: np.ndarray) -> float:
    none, all_of_it, own = values.mean(axis=0)
    return float(100 * (none - own) / (none - all_of_it))
