"""The slowest requests of each policy, what their time went into, and why, in a line each."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import pandas as pd

from experiments.report.page import Cell, folded, table, tag
from experiments.report.sweep import Sweep, varying
from experiments.tables.labels import shown
from experiments.tables.parts import PARTS, SPANS, seconds_in

MOST = 5  # requests of a policy
TOLD = 0.2  # of the response time, from which on a part is told beside the largest
LONG = 0.95  # of the answers are shorter


def slowest(sweep: Sweep) -> list[Element]:
    """A folded table a policy, of its slowest measured requests where most arrives."""
    where, busiest = sweep.busiest()
    apart = [name for name in varying(busiest) if not name.startswith(("policy", "predictor", "system", "experiment"))]
    spans = [(sweep.folders[run].path / SPANS).exists() for run in dict.fromkeys(busiest["run"])]
    how = (
        "from the spans that record=jobs kept"
        if all(spans)
        else "from the instants in requests.parquet, where stops are in decode, and in static batches prefill is; "
        "record=jobs tells them apart"
    )
    found = [tag("p", f"{f'At {where}. ' if where else ''}Seconds in each part {how}.", class_="dim")]
    worst: dict[str, pd.DataFrame] = {}
    for policy in sweep.policies():
        runs = busiest[busiest["policy"].map(str) == policy]
        of_runs = pd.concat([_of_run(sweep, row, apart) for _, row in runs.iterrows()])
        worst[policy] = of_runs.sort_values("response_time", ascending=False, kind="stable").head(MOST)
    some = {policy: requests for policy, requests in worst.items() if len(requests)}
    order = sorted(some, key=lambda policy: -some[policy]["response_time"].iloc[0])
    for policy in order:
        told = f"{policy}: {some[policy]['response_time'].iloc[0]:.3g} s at most"
        found.append(folded(told, _table(some[policy], apart), is_open=policy == order[0]))
    return found


def _of_run(sweep: Sweep, row: pd.Series, apart: list[str]) -> pd.DataFrame:
    found = sweep.parts(row["run"])
    rank = found["output_tokens"].rank(pct=True)
    settings = {name: shown(row[name]) for name in apart}
    found = found.nlargest(MOST, "response_time").assign(_rank=rank, **settings)
    return found.rename_axis("_id").reset_index()


def _table(requests: pd.DataFrame, apart: list[str]) -> Element:
    names = seconds_in(requests.fillna(dict.fromkeys(PARTS, 0.0)))
    headings = [*apart, "request", "arrival", "prompt", "answer", "seconds", "why", *names]
    rows: list[list[Cell]] = [
        [
            *(str(row[name]) for name in apart), str(row["_id"]), f"{row['arrival']:.2f}", f"{row['prompt_tokens']:,}",
            f"{row['output_tokens']:,}", f"{row['response_time']:.3g}", (why(row), "text"),
            *(f"{row[name]:.3g}" for name in names),
        ]
        for _, row in requests.fillna(dict.fromkeys(names, 0.0)).iterrows()
    ]  # fmt: skip
    return table(headings, rows)


def why(request: pd.Series) -> str:
    """What the time of one request went into, most first, and what is unusual of it."""
    whole = request["response_time"]
    shares = sorted(((float(request[name]) / whole, name) for name in PARTS if name in request), reverse=True)
    told = [f"{share:.0%} {name}" for number, (share, name) in enumerate(shares) if number == 0 or share >= TOLD]
    if request["preemptions"]:
        told.append(f"stopped {request['preemptions']:.0f} times")
    if request["replica_kind"] == "cpu":
        told.append("served by a CPU")
    if request["_rank"] >= LONG:
        told.append(f"its answer is longer than {min(request['_rank'], 0.999):.0%} of all")
    return "; ".join(told)
