"""The printed comparison: a row per policy, for each combination of the other settings."""

from __future__ import annotations

import numpy as np
import pandas as pd

from experiments.stats import Interval, interval, paired_difference

COLUMNS = {
    "response_time_p50": "P50",
    "response_time_p95": "P95",
    "response_time_p99": "P99",
    "response_time_max": "max",
}


def settings_of(table: pd.DataFrame) -> list[str]:
    """The columns of a collected table that say what a run was: those before `run`."""
    return list(table.columns[: table.columns.get_loc("run")])


def varying(table: pd.DataFrame) -> list[str]:
    """The settings, but policy (and the system that chose it) and seed, in which the runs of `table` differ.

    A part of a policy (`policy/order` ...) or a predictor counts only where one policy was run with several.
    """
    found = []
    for name in settings_of(table):
        if name in ("policy", "system", "seed"):
            continue
        own = name.startswith(("policy", "predictor"))
        within = table.groupby(table["policy"] if own else np.zeros(len(table)))[name]
        if (within.nunique(dropna=False) > 1).any():
            found.append(name)
    return found


def labelled(table: pd.DataFrame, reference: str = "fifo") -> pd.DataFrame:
    """`table` with what one policy's runs differ in put into the policy's name (`up order.alpha=-4`).

    That is a policy's knobs and the predictor; a system that chose the policy gives its name. What the reference was
    swept over too stays a setting, so that differences are taken at its equal values.
    """
    if "system" in table:
        table = table.assign(policy=table["system"].fillna(table["policy"]))
    names = table["policy"].astype(str)
    for column in (name for name in settings_of(table) if name.startswith(("policy.", "policy/", "predictor"))):
        swept = table.groupby("policy")[column].nunique(dropna=False) > 1
        if swept.get(reference, False):
            continue
        shown = " " + column.removeprefix("policy.").removeprefix("policy/") + "=" + table[column].astype(str)
        names = names + shown.where(table["policy"].map(swept), "")
    return table.assign(policy=names)


def compare(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """A row per policy of one group: means over seeds with 95 % intervals, and the paired difference in mean response
    time from `reference`, in seconds and as a share of the reference's."""
    base = table[table["policy"] == reference]
    rows = []
    for policy, runs in table.groupby("policy", sort=False):
        row: dict[str, object] = {"policy": policy, "seeds": len(runs)}
        row["mean"] = f"{interval(runs['response_time_mean']):.3f}"
        for column, name in COLUMNS.items():
            row[name] = f"{runs[column].mean():.3f}"
        row["requests/s"] = f"{interval(runs['throughput_requests']):.3f}"
        row["overhead %"] = f"{100 * (runs['predicting_share'] + runs['scheduling_share']).mean():.2f}"
        row["to CPU %"] = f"{100 * runs['offloaded_share'].mean():.1f}"
        row |= _difference(runs, base, reference)
        rows.append(row)
    return pd.DataFrame(rows)


def _difference(runs: pd.DataFrame, base: pd.DataFrame, reference: str) -> dict[str, str]:
    if not len(base):
        return {}
    seconds = interval(paired_difference(runs, base, "response_time_mean"))
    scale = 100 / float(base["response_time_mean"].mean())
    share = Interval(seconds.mean * scale, seconds.half_width * scale)
    itself = runs["policy"].iloc[0] == reference
    return {f"mean - {reference}": "" if itself else f"{seconds:+.3f}", "%": "" if itself else f"{share:+.1f}"}


def render(table: pd.DataFrame, reference: str = "fifo") -> str:
    """The comparison as text; times in seconds."""
    if not len(table):
        return "no complete run"
    table = labelled(table, reference)
    columns = varying(table)
    constant = [name for name in settings_of(table) if name not in (*columns, "policy", "system", "seed")]
    constant = [name for name in constant if not name.startswith("policy") and not _unused(table, name)]
    provenance = [name for name in table.columns if name.startswith("provenance.")]
    lines = ["response time (E2E) in seconds, mean over seeds ± half of its 95 % interval; %: of the reference's mean"]
    lines.append("all runs: " + ", ".join(f"{name}={_values(table, name)}" for name in constant))
    for name in provenance:
        values = sorted(set(table[name].dropna()))
        lines.append(f"{name.removeprefix('provenance.')}: {'; '.join(values)}")
    groups = table.groupby(columns, sort=True, dropna=False) if columns else [((), table)]
    for key, group in groups:
        heading = ", ".join(f"{name}={value}" for name, value in zip(columns, key, strict=True))
        lines += ["", heading] if heading else [""]
        lines.append(compare(_in_order(group, reference), reference).fillna("").to_string(index=False))
        censored, rejected = int(group["censored"].sum()), int(group["rejected"].sum())
        if censored or rejected:
            lines.append(f"not finished: {censored} censored, {rejected} rejected")
    return "\n".join(lines)


def _values(table: pd.DataFrame, name: str) -> str:
    """The value of a setting that does not vary, or, of the predictor, those that the policies differ in."""
    found = list(dict.fromkeys(table[name].astype(str)))
    return found[0] if len(found) == 1 else f"{' or '.join(found)} (by policy)"


def _unused(table: pd.DataFrame, name: str) -> bool:
    """Whether a setting is the `model` of a configuration whose devices run another."""
    devices = table.filter(like="provenance.").drop(columns="provenance.trace", errors="ignore")
    of_model = devices.apply(lambda column: column.str.startswith(f"{table[name].iloc[0]}/"))
    return name == "model" and len(devices.columns) > 0 and not of_model.any(axis=None)


def _in_order(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """The reference's rows first, then by policy, then by seed."""
    others = (table["policy"] != reference).to_numpy()
    return table.assign(_others=others).sort_values(["_others", "policy", "seed"]).drop(columns="_others")
