"""What `tokenyard validate FILE` prints of measured and simulated requests: errors, and what they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.figures.style import save
from experiments.run.written import write_whole
from experiments.validation.errors import QUANTILES, errors, request_errors
from experiments.validation.figure import draw
from experiments.validation.report import as_json as line_of
from experiments.validation.shown import render
from profiles.operators.huggingface import short_name
from sim import Cluster
from sim.metrics import response_time, tpot, ttft

EARLY = 0.1  # the share of the requests that came first
FEW = 5  # requests that say something together
CLEAR, FASTER = 0.05, 0.01  # an error, and a device's speed, that are worth a line


@dataclass(frozen=True)
class Compared:
    """The requests as they were measured and as they are simulated, a row each, and the gaps (s) between their tokens.

    `seen` is the share of the simulated requests whose gaps are known. `slowed` is a factor, and the same
    where all that is simulated takes that many times as long.
    """

    real: pd.DataFrame
    simulated: pd.DataFrame
    real_gaps: np.ndarray
    simulated_gaps: np.ndarray
    seen: float
    slowed: tuple[float, Compared] | None = None


def doubts(result: Mapping[str, Any], cluster: Cluster) -> list[str]:
    """What of the benchmark's `result` is not what is simulated on `cluster`, a line each."""
    lines = []
    model, models = str(result.get("model_id", "")), {device.model for device in cluster.devices}
    if model and short_name(model) not in {short_name(one) for one in models}:
        lines.append(f"note: {model} was served, and {' and '.join(sorted(models))} is simulated: is it the same?")
    if result.get("max_concurrency"):
        lines.append(
            "note: the client held requests back until others had ended (max_concurrency); they are replayed when they "
            "were sent, so a simulation that is slower than the server has more of them at a time"
        )
    return lines


def gap_rows(compared: Compared) -> pd.DataFrame:
    """ITL's rows of the table of errors: all gaps of all requests together, as the benchmark counts them."""
    pairs = (compared.real_gaps, compared.simulated_gaps)
    rows = []
    for name, percent in {"mean": None, **QUANTILES}.items():
        values = [_of(gaps, percent) for gaps in pairs]
        rows.append({"metric": "ITL", "statistic": name, "measured": values[0], "simulated": values[1]})
    table = pd.DataFrame(rows)
    return table.assign(error=table["simulated"] / table["measured"] - 1)


def _of(gaps: np.ndarray, percent: int | None) -> float:
    if not len(gaps):
        return float("nan")
    return float(np.mean(gaps) if percent is None else np.percentile(gaps, percent))


def error_table(compared: Compared) -> pd.DataFrame:
    """A row for each statistic of TTFT, TPOT, ITL and E2E, and of the throughput."""
    table = errors(compared.real, compared.simulated)
    at = int((table["metric"] == "E2E").argmax())
    return pd.concat([table[:at], gap_rows(compared), table[at:]], ignore_index=True)


def inside(requests: pd.DataFrame) -> np.ndarray:
    """How many others were there when each request came."""
    arrivals, ends = (requests[name].to_numpy() for name in ("arrival", "finished"))
    before = np.searchsorted(np.sort(arrivals), arrivals, side="left")
    gone = np.searchsorted(np.sort(ends), arrivals, side="right")
    return np.asarray(before - gone)


def causes(compared: Compared) -> list[str]:
    """What the rows say of where errors come from, a line each; each states what it compares."""
    real, simulated = compared.real.sort_values("id"), compared.simulated.sort_values("id")
    lines = [*_alone(real, simulated), *_waits(real, simulated), *_steps(real, simulated), *_early(real, simulated)]
    lines += _speed(compared)
    tokens = int((real["output_tokens"] - 1).sum())
    if tokens and (missing := 1 - len(compared.real_gaps) / tokens) > 0.01:
        lines.append(
            f"ITL: the client saw {len(compared.real_gaps):,} gaps of {tokens:,} tokens after a first one: "
            f"{100 * missing:.0f} % came together with the token before, so its gaps are longer than the steps"
        )
    if compared.seen < 0.99:
        lines.append(
            f"ITL: simulated gaps are those of {100 * compared.seen:.0f} % of the requests: the others were stopped"
        )
    return lines


def _alone(real: pd.DataFrame, simulated: pd.DataFrame) -> list[str]:
    """Requests that met nobody: no queue is in their error."""
    alone = (inside(real) == 0) & (inside(simulated) == 0)
    if alone.sum() < FEW:
        return []
    off = np.median(ttft(real)[alone] - ttft(simulated)[alone])
    share = off / np.median(ttft(real)[alone])
    return [
        f"TTFT of the {alone.sum()} requests that met nobody: measured {1e3 * off:+.3g} ms ({100 * share:+.0f} %) "
        "beside simulated (median): a prompt's pass, and what HTTP, tokenizing and the server's front end add"
    ]


def _waits(real: pd.DataFrame, simulated: pd.DataFrame) -> list[str]:
    """Whether the error grows while the run goes on, as that of a queue does."""
    spans = [float(table["finished"].max() - table["arrival"].min()) for table in (real, simulated)]
    behind = [float(response_time(table).sum()) / span for table, span in zip((real, simulated), spans, strict=True)]
    most = [int(inside(table).max()) + 1 for table in (real, simulated)]
    lines = [
        f"requests there at a time: measured {behind[0]:.3g} on average and {most[0]} at most, simulated "
        f"{behind[1]:.3g} and {most[1]}"
    ]
    third = max(FEW, len(real) // 3)
    late = [np.mean(ttft(table)[-third:]) / np.mean(ttft(table)[:third]) for table in (real, simulated)]
    if max(late) > 2:
        lines.append(
            f"TTFT of the last third over that of the first: measured {late[0]:.3g}, simulated {late[1]:.3g}: a queue "
            "grows, and multiplies what each step is off"
        )
    return lines


def _steps(real: pd.DataFrame, simulated: pd.DataFrame) -> list[str]:
    """How far single requests' TPOT is off, by how many were there: of a step itself, or of larger batches."""
    off = tpot(simulated) / tpot(real) - 1
    crowd, known = inside(real), ~np.isnan(tpot(real))
    if known.sum() < 2 * FEW:
        return []
    middle = np.median(crowd[known])
    parts = {f"{middle:g} others or fewer": known & (crowd <= middle), "more": known & (crowd > middle)}
    said = [f"{100 * np.median(off[rows]):+.1f} % with {name}" for name, rows in parts.items() if rows.sum() >= FEW]
    return [f"TPOT of single requests is off by {', '.join(said)} there when they came (median)"]


def _early(real: pd.DataFrame, simulated: pd.DataFrame) -> list[str]:
    """Whether the first requests are off otherwise than the rest: a server that warms up."""
    count = max(FEW, round(EARLY * len(real)))
    if len(real) < 2 * count:
        return []
    off = response_time(simulated) / response_time(real) - 1
    first, rest = (float(np.median(part)) for part in (off[:count], off[count:]))
    if abs(first - rest) < CLEAR:
        return []
    return [
        f"E2E of the first {count} requests is off by {100 * first:+.1f} %, of the others by {100 * rest:+.1f} % "
        "(median): the server warmed up, or the machine changed its speed"
    ]


def _speed(compared: Compared) -> list[str]:
    """What is left of the errors at the speed at which the mean gap between tokens is that which was measured."""
    if compared.slowed is None or abs(compared.slowed[0] - 1) < FASTER:
        return []
    factor, slowed = compared.slowed
    means = error_table(slowed).query("statistic == 'mean'")
    pairs = zip(means["metric"], means["error"], strict=True)
    off = ", ".join(f"{metric} {100 * error:+.1f} %" for metric, error in pairs)
    return [
        f"were all steps {factor:.3g} times as long, so that mean ITLs agree (fitted to this file), means would "
        f"be off by {off}: what is left is not the device's speed"
    ]


def write(folder: Path, facts: Sequence[str], compared: Compared, *, as_json: bool) -> None:
    """Print the comparison as a table, or as JSON lines, and keep both in `folder` with a picture."""
    table, single = error_table(compared), request_errors(compared.real, compared.simulated)
    why = causes(compared)
    count = len(compared.real)
    text = "\n".join(
        [*facts, "", f"{count} requests; seconds", render(table, single), "", "where errors come from", *why]
    )
    kinds = {"error": table, "request_error": single}
    lines = [line_of({"kind": "facts", "facts": list(facts), "causes": why})]
    lines += [line_of({"kind": kind, **row}) for kind, rows in kinds.items() for row in rows.to_dict("records")]
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "report.txt", text + "\n")
    write_whole(folder / "report.jsonl", "\n".join(lines) + "\n")
    gaps = (compared.real_gaps, compared.simulated_gaps)
    caption = f"{count} requests. {facts[0]}. {facts[1]}."
    paths = save(draw(compared.real, compared.simulated, caption, gaps), folder / "distributions")
    print("\n".join(lines) if as_json else f"{text}\n\nresults: {folder} ({', '.join(path.name for path in paths)})")
