"""The printed comparison: a row per policy, for each combination of the other settings. docs/statistics.md reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from experiments.run.results import Folder
from experiments.tables.footers import footers
from experiments.tables.labels import devices_of, is_usual, settings_of, shown
from experiments.tables.reference import DEFAULT, REPLAY, Reference, same_requests
from experiments.tables.stats import Interval, change, distinct, interval
from experiments.tables.why import Why, of_folders

COLUMNS = {
    "response_time_p50": "P50",
    "response_time_p95": "P95",
    "response_time_p99": "P99",
    "response_time_max": "max",
}
WITHOUT_CALLS = "E2E - calls"  # heads the mean serving times, where requests call out
ASKED = {  # where a reward or objectives are set
    "in time": "availability", "of peak": "performance", "within SLO": "slo_attainment", "goodput/s": "slo_goodput",
}  # fmt: skip
CLASS = "attainment."  # what the columns of classes begin with
FEW = 3  # texts that are told in full
HEADING = (
    "response time (E2E) in seconds, mean over seeds ± half of its 95 % interval; %: the ratio of the means over the "
    "same seeds, less 1; -: not measured (docs/statistics.md)"
)


def compare(
    table: pd.DataFrame, reference: Reference | str | None = None, why: Why | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """A row per policy of one group of a labelled table, and what a reader must know of them, a line each.

    Means over seeds with their intervals, and of the paired runs the difference in mean response time from the
    reference, in seconds and in percent. `why` tells what makes a row worse than the reference.
    """
    reference = reference if isinstance(reference, Reference) else Reference.of(reference)
    absent = reference.absent(table)
    partners = pd.Series(math.nan, index=table.index) if absent else reference.partners(table, [])
    held = pd.Series(False, index=table.index) if absent else reference.holds(table)
    by = ["policy", *([reference.axis] if reference.axis in table else [])]
    rows: list[dict[str, str]] = []
    notes: dict[str, list[str]] = {}  # what is said -> of which rows
    first: dict[frozenset[str], str] = {}  # runs -> the row that had them
    for key, runs in table.groupby(by, sort=False, dropna=False):
        row = {column: shown(value) for column, value in zip(by, key, strict=True)}
        seen = distinct(runs.dropna(subset="response_time_mean"))
        said = [*_repeats(runs, seen), *_classes(seen)]
        if "run" in runs and (same := first.setdefault(frozenset(runs["run"]), row["policy"])) != row["policy"]:
            said.append(f"the very runs of {same}: all that the two set is equal here")
        row |= _means(table, runs, seen)
        if not absent and not held.all():
            row |= {f"mean - {reference}": "", "%": ""}
            if not held[runs.index].any():
                differences, doubts, found = _difference(table, partners[runs.index], reference)
                row |= dict(zip([f"mean - {reference}", "%"], differences, strict=True))
                said += doubts
                if why and found and (reason := why(table, partners[runs.index], str(reference), found[1])):
                    open_ = (
                        ""
                        if abs(found[0].mean) > found[0].half_width
                        else ", which these seeds do not tell from chance"
                    )
                    said.append(reason + open_)
        rows.append(row)
        for text in said:
            notes.setdefault(text, []).append(shown(key[0]) + "".join(f" {by[1]}={shown(value)}" for value in key[1:]))
    lines = [f"{', '.join(names)}: {text}" for text, names in notes.items()]
    return pd.DataFrame(rows), lines


def _means(table: pd.DataFrame, runs: pd.DataFrame, seen: pd.DataFrame) -> dict[str, str]:
    """The cells of one row that are means over its runs, of which those `seen` are observations."""
    row = {"seeds": str(len(runs)) if len(seen) == len(runs) else f"{len(seen)} of {len(runs)}"}
    row["mean"] = f"{interval(seen['response_time_mean']):.3f}"
    row |= {title: f"{_mean(seen, column):.3f}" for column, title in COLUMNS.items()}
    if "serving_time_mean" in table:
        row[WITHOUT_CALLS] = f"{interval(seen['serving_time_mean']):.3f}"
    for title, column in ASKED.items():
        if column in table:
            row[title] = f"{interval(seen[column]):.3f}"
    if "slo_holds" in table and seen["slo_holds"].notna().any():
        row["SLO holds"] = f"{int(seen['slo_holds'].sum())} of {len(seen)}"
    row["requests/s"] = f"{interval(seen['throughput_requests']):.3f}"
    if "throughput_requests_overall" in table:
        row["requests/s, all"] = f"{interval(seen['throughput_requests_overall']):.3f}"
    shares = [name for name in ("predicting_share", "routing_share", "scheduling_share") if name in table]
    row["overhead %"] = f"{_mean(seen, *shares):.2f}"
    if _has_cpu(table):
        row["to CPU %"] = f"{_mean(seen, 'offloaded_share'):.1f}"
    return row


def _mean(runs: pd.DataFrame, *columns: str) -> Interval:
    """The mean, without an interval, of the sum of columns; of shares in percent."""
    scale = 100 if columns[0].endswith("share") else 1
    return Interval(scale * sum(interval(runs[column]).mean for column in columns), math.nan)


def _difference(
    table: pd.DataFrame, partners: pd.Series, reference: Reference
) -> tuple[tuple[str, str], list[str], tuple[Interval, Interval] | None]:
    """The paired difference of one row's runs in seconds and in percent, as text; what must be said of it; and both."""
    own = partners.dropna()
    if not len(own):
        return ("-", "-"), [f"no run of {reference} has the same seed and other settings"], None
    some = f"compared over {len(own)} of {len(partners)} runs, those that have one of {reference} beside them"
    notes = [some] if len(own) < len(partners) else []
    alike = same_requests(table, own)
    if reference.of_trace and not alike.all():
        notes.append(f"paired by seed alone, as {reference.axis} changes what is replayed")
    elif not alike.all():
        return ("not paired", "not paired"), [_other_requests(table, own[~alike], reference)], None
    if "counts.measured" in table:
        counts = [table.loc[index, "counts.measured"].sum() for index in (own.index, own)]
        if counts[0] != counts[1]:
            said = f"{counts[0]:,} were measured, {counts[1]:,} of {reference}"
            notes.append(f"compared over other requests, as not all were served in both: {said}")
    ours, theirs = (table.loc[index, "response_time_mean"] for index in (own.index, own))
    both = pd.DataFrame({"ours": ours.to_numpy(), "theirs": theirs.to_numpy()}).drop_duplicates()
    if (both["ours"] == both["theirs"]).all():
        return ("equal", "equal"), notes, None
    seconds, percent = interval(both["ours"] - both["theirs"]), change(both["ours"], both["theirs"])
    return (f"{seconds:+.3f}", f"{percent:+.1f}"), notes, (seconds, percent)


def _other_requests(table: pd.DataFrame, partners: pd.Series, reference: Reference) -> str:
    """Why no difference is taken: the first of the pairs that replayed other requests, and what makes them equal."""
    ours, theirs = table.loc[partners.index[0]], table.loc[partners.iloc[0]]
    said = f"not paired: other requests than {reference}"
    if "counts.training" in table and ours["counts.training"] != theirs["counts.training"]:
        rows = f"{ours['counts.training']:,.0f} rows kept for training, {theirs['counts.training']:,.0f} there"
        return f"{said} ({rows}): give trace.training_share=... to keep as many in every run"
    differ = [column for column in settings_of(table) if shown(ours[column]) != shown(theirs[column])]
    differ = [column for column in differ if column.startswith(("trace", "load", "model", "cluster", "predictor"))]
    return (
        f"{said} (the runs differ in {', '.join(differ) or 'their trace'}): where rows are kept for training give "
        "trace.training_share=..., where load sets the rate give trace.rate=..."
    )


def _repeats(runs: pd.DataFrame, seen: pd.DataFrame) -> list[str]:
    """What is said of seeds that add no observation, or no trace."""
    if empty := int(runs["response_time_mean"].isna().sum()):
        return [f"in {empty} of {len(runs)} seeds nothing was measured: means are over the others"]
    if len(runs) > 1 and len(seen) == 1:
        return [
            f"no interval: {len(runs)} seeds gave one and the same run, an observation made {len(runs)} times; "
            "resample=blocks draws a recorded trace anew for each seed"
        ]
    if len(seen) < len(runs):
        return [f"{len(runs) - len(seen)} of {len(runs)} seeds repeat another's run, and count once"]
    traces = runs[REPLAY].nunique() if REPLAY in runs else 0
    if 0 < traces < len(runs):
        return [f"only {traces} different traces in {len(runs)} seeds: intervals are of what else a seed draws"]
    return []


def _classes(seen: pd.DataFrame) -> list[str]:
    """The shares within their bounds of each class of requests, where there are any."""
    shares = {name.removeprefix(CLASS): seen[name] for name in seen if name.startswith(CLASS)}
    told = ", ".join(f"{name} {interval(values):.3f}" for name, values in shares.items() if values.notna().any())
    return [f"within SLO: {told}"] if told else []


def _has_cpu(table: pd.DataFrame) -> bool:
    """Whether a CPU is among the devices, or served something."""
    return any(name.startswith("provenance.cpu") for name in table) or bool((table["offloaded_share"] > 0).any())


def render(
    table: pd.DataFrame, reference: Reference | str | None = None, folders: Mapping[str, Folder] | None = None
) -> str:
    """The comparison as text; times in seconds. With the `folders` of the runs, why a row is bad stands below."""
    if not len(table):
        return "no complete run"
    reference = reference if isinstance(reference, Reference) else Reference.of(reference)
    table = reference.labelled(table.assign(_policy=table["policy"]))
    columns = reference.groups(table)
    constant = (f"{name}={_values(table, name)}" for name in _constant(table, columns, reference))
    lines = [HEADING, "all runs: " + ", ".join(constant)]
    if "serving_time_mean" in table:
        lines.insert(1, f"{WITHOUT_CALLS}: the mean without the time that calls took, where requests call out")
    for name in (name for name in table.columns if name.startswith("provenance.")):
        kv, of = name.replace("provenance.", "kv."), table[name]
        room = f", KV of {_few(table[kv])}" if kv in table else ""
        if kv in table and of.nunique() > 1 and table[kv].notna().all():  # of each its own
            of, room = of + ", KV of " + table[kv], ""
        lines.append(f"{name.removeprefix('provenance.')}: {_few(of)}{room}")
    absent = _absent(table, reference)
    lines += [absent] if absent else []
    groups = table.groupby(columns, sort=True, dropna=False) if columns else [((), table)]
    for key, group in groups:
        heading = ", ".join(f"{name}={shown(value)}" for name, value in zip(columns, key, strict=True))
        rows, notes = compare(_in_order(group, reference), reference, of_folders(folders) if folders else None)
        if not absent and (here := _absent(group, reference)):
            notes.insert(0, here)
        lines += ["", *([heading] if heading else []), rows.to_string(index=False), *footers(group), *notes]
    return "\n".join(lines)


def _absent(table: pd.DataFrame, reference: Reference) -> str:
    """Why there is no difference, where one was asked for or is to be expected."""
    expected = str(reference) != DEFAULT or table["policy"].nunique() > 1
    return reference.absent(table) if expected else ""


def _constant(table: pd.DataFrame, columns: list[str], reference: Reference) -> list[str]:
    """The settings that all runs share, or that go with their policies."""
    left = [name for name in settings_of(table) if name not in (*columns, "policy", "system", "seed", reference.axis)]
    of_policies = [name for name in left if name.startswith("policy")]
    hidden = [name for name in of_policies if table[name].nunique(dropna=False) > 1 or _is_usual(table, name)]
    return [name for name in left if name not in hidden and not _unused(table, name)]


def _is_usual(table: pd.DataFrame, name: str) -> bool:
    """Whether a part of a policy need not be told, for it is not set, or each run's policy has it anyway."""
    value = table[name].iloc[0]
    return value is None or value != value or all(is_usual(policy, name, value) for policy in set(table["_policy"]))


def _values(table: pd.DataFrame, name: str) -> str:
    """The value of a setting that does not vary, or, of the predictor, those that the policies differ in."""
    found = list(dict.fromkeys(table[name].map(shown)))
    return found[0] if len(found) == 1 else f"{' or '.join(found)} (by policy)"


def _few(texts: pd.Series) -> str:
    """The different texts, or the first of more than three."""
    found = sorted(set(texts.dropna()))
    return "; ".join(found) if len(found) <= FEW else f"{found[0]}; and {len(found) - 1} more of its kind"


def _unused(table: pd.DataFrame, name: str) -> bool:
    """Whether a setting is the `model` of a configuration whose devices run another."""
    devices = table[devices_of(table)]
    of_model = devices.apply(lambda column: column.str.startswith(f"{table[name].iloc[0]}/"))
    return name == "model" and len(devices.columns) > 0 and not of_model.any(axis=None)


def _in_order(table: pd.DataFrame, reference: Reference) -> pd.DataFrame:
    """The reference's rows first, then by policy, then by seed."""
    held = reference.holds(table) if not reference.absent(table) else pd.Series(False, index=table.index)
    by = ["policy", "_others", reference.axis, "seed"] if reference.axis in table else ["_others", "policy", "seed"]
    return table.assign(_others=~held).sort_values(by).drop(columns="_others")
