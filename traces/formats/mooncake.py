"""The Mooncake traces of Kimi (kvcache-ai/Mooncake, Apache-2.0): arrivals, lengths and the prompts' prefix blocks.

Their timestamps stand in ticks of 3 s, so requests arrive in batches. Every row of the conversation trace has a hash id
for each 512 tokens of its prompt, the last id for what is left; a row that has more or fewer is refused. The loader was
run on that trace, on the toolagent trace, which has the same fields, it was not. vLLM's `timed-trace` benchmark and
SGLang's `mooncake` one read the same files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from traces.clock import elapsed, negative
from traces.files import field, read_json_lines
from traces.schema import check

NAMES = {
    "arrival": "timestamp",
    "prompt_tokens": "input_length",
    "output_tokens": "output_length",
    "prompt_ids": "hash_ids",
}
ID_TOKENS = 512
UNIT = "ms"


def load(path: Path, *, skip_bad: bool = False, unit: str | None = None) -> pd.DataFrame:
    """The requests in a jsonl file, plain or gzipped, with a prompt id for each block of 512 tokens; arrivals in
    seconds from the first one, of stamps in `unit` (None: ms).

    TraceError names the line, field and value of what is wrong; `skip_bad` drops and counts bad lines instead (but not
    a broken file).
    """
    table = read_json_lines(path, _row, skip_bad=skip_bad)
    written = {"arrival": table["arrival"]}
    table = table.assign(arrival=elapsed(table["arrival"], unit, UNIT, str(path)))
    faults = [
        negative(written["arrival"]),
        ("prompt_ids", "is empty", table["prompt_ids"].map(len).eq(0).to_numpy()),
    ]
    return check(table, str(path), first_line=1, names=NAMES, written=written, faults=faults, skip_bad=skip_bad)


def _row(place: str, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "arrival": field(place, row, "timestamp", float),
        "prompt_tokens": field(place, row, "input_length", int),
        "output_tokens": field(place, row, "output_length", int),
        "prompt_ids": field(place, row, "hash_ids", list),
        "id_tokens": ID_TOKENS,
    }
