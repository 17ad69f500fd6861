"""What vLLM's benchmark leaves of a run (`vllm bench serve --save-result --save-detailed`): a json object of lists.

Each list has an item a request, in the order in which they were sent: its lengths in tokens, when it was sent, and what
the client saw of it. Times are the client's, in seconds: they hold HTTP and the server's front end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from traces.files import RowError, field, is_sound, json_object, read_bytes, read_rows
from traces.schema import MEASURED, TraceError, check
from traces.windows import Windows

LISTS = {"input_lens": int, "output_lens": int, "ttfts": float, "itls": list}  # that every detailed result has
STARTS, TOTALS, ERRORS = "start_times", "latencies", "errors"  # not every version has the first two
INSTANTS = ("arrival", *MEASURED[1:])
NAMES = {
    **dict(zip(INSTANTS, (STARTS, "ttfts", TOTALS), strict=True)),
    "prompt_tokens": "input_lens",
    "output_tokens": "output_lens",
}
ENDLESS = "inf"  # requests/s: all are sent at once
SHOWN = 100  # characters of an error that the server gave


def load(path: Path, *, skip_bad: bool = False) -> pd.DataFrame:
    """The requests in a json file, plain or gzipped, with the instants of their first and last token; seconds from the
    first that was sent.

    TraceError for a result without details, for one that says how many came in a second and not when (vLLM's until
    0.10 [M]), and one that names the request (counted from 0) for what is wrong with it, a failed one too; `skip_bad`
    drops and counts those.
    """
    result = read_result(path)
    if STARTS not in result and result.get("request_rate") != ENDLESS:
        rate = result.get("request_rate")
        raise TraceError(
            f"{path}: {STARTS} is missing: it says request_rate={rate!r}, and not when each request was sent"
        )
    rows = ((f"{path}, request {number}", number) for number in range(len(result["input_lens"])))
    table = read_rows(path, rows, lambda place, number: _row(place, result, number), skip_bad)
    skipped = table.attrs
    table = table.sort_values("arrival", kind="stable", ignore_index=True)
    start = table["arrival"].iloc[0]
    table = table.assign(**{name: (table[name] - start).astype(float) for name in INSTANTS})
    table.attrs = skipped
    names = table["request_id"].tolist()
    return check(table, str(path), place=lambda row: f"request {names[row]}", names=NAMES, skip_bad=skip_bad)


def read_result(path: Path) -> dict[str, Any]:
    """The object in the file; TraceError unless it has a detailed result's lists, all as long."""
    text = read_bytes(path).decode()
    if len(lines := [line for line in text.splitlines() if line.startswith("{")]) > 1:
        raise TraceError(f"{path}: it holds {len(lines)} results, a line each: give a file of one")
    result = json_object(str(path), text)
    if missing := [name for name in LISTS if name not in result]:
        raise TraceError(
            f"{path}: {', '.join(missing)} missing: no result of vllm bench serve --save-result --save-detailed"
        )
    lists = {name: field(str(path), result, name, list) for name in (*LISTS, STARTS, TOTALS, ERRORS) if name in result}
    lengths = {name: len(found) for name, found in lists.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {count}" for name, count in lengths.items())
        raise TraceError(f"{path}: the lists must have an item a request, and are not equally long: {said}")
    return result


def _row(place: str, result: dict[str, Any], number: int) -> dict[str, Any]:
    item: dict[str, Any] = {name: result[name][number] for name in (*LISTS, STARTS, TOTALS, ERRORS) if name in result}
    prompt, output, ttft, gaps = (field(place, item, name, kind) for name, kind in LISTS.items())
    if item.get(ERRORS) or not output:
        why = str(item.get(ERRORS) or "no token came").strip().splitlines()[-1]
        raise RowError(f"{place}: it failed: {why[:SHOWN]}", "failed")
    if not all(isinstance(gap, float | int) and is_sound(gap) and gap >= 0 for gap in gaps):
        raise RowError(f"{place}: itls are not seconds between tokens, 0 or more", "itls are not seconds")
    if TOTALS not in item and not gaps and output > 1:
        raise RowError(f"{place}: no {TOTALS} and no itls: when its {output} tokens ended is not said", "no end")
    arrival = field(place, item, STARTS, float) if STARTS in item else 0.0
    latency = field(place, item, TOTALS, float) if TOTALS in item else ttft + sum(gaps)
    times = dict(zip(INSTANTS, (arrival, arrival + ttft, arrival + max(latency, ttft)), strict=True))
    return {"prompt_tokens": prompt, "output_tokens": output, "request_id": str(number), **times}


@dataclass(frozen=True)
class BenchmarkRun(Windows):
    """The requests of vLLM's benchmark in the file `path`, as `traces.windows.Windows` replays them.

    All of them and as they were sent, they have what was measured of each.
    """

    load: Callable[..., pd.DataFrame] = load
    origin: str = "recorded: vLLM's benchmark"

    def replay(self, arrivals: np.random.Generator, lengths: np.random.Generator) -> pd.DataFrame:
        """One window; or all requests with what was measured, if nothing is asked that changes them."""
        if self.kept or any(one is not None for one in (self.rate, self.window, self.resample)):
            return super().replay(arrivals, lengths)
        table = self._rows.copy(deep=False)
        table.attrs |= {"read": len(table) + sum(table.attrs.get("skipped", {}).values()), "kept": 0, "fitted": 0}
        return table
