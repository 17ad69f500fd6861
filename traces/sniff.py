"""Which format a file has: told by a csv file's header, the keys of its first json object, or parquet's columns."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from traces.schema import TraceError

PEEKED = 1 << 16  # bytes of a text file that are looked at
_KEY = re.compile(r'"([^"\\\n]{1,40})"\s*:')


@dataclass(frozen=True, slots=True)
class Format:
    """A format: the columns or keys that tell it, its loader ("module:function", None if it holds no trace), whether it
    has texts whose tokens the loader must be told to count, and the unit of its stamps, where they are numbers."""

    name: str
    what: str
    told_by: tuple[str, ...]
    loader: str | None
    texts: bool = False
    unit: str | None = None

    def load(
        self,
        path: Path,
        *,
        skip_bad: bool = False,
        unit: str | None = None,
        count_tokens: Callable[[str], int] | None = None,
    ) -> pd.DataFrame:
        """The trace in the file; with `skip_bad` its bad rows are dropped and counted in `attrs["skipped"]`, and `unit`
        is that of its stamps (None: the format's own)."""
        if self.loader is None:
            raise TraceError(f"{path}: {self.what}: this is no trace")
        if unit is not None and self.unit is None:
            raise TraceError(f"{path}: the stamps of {self.name} have no unit that could be set, got {unit!r}")
        module, _, function = self.loader.partition(":")
        more: dict[str, Any] = {"count_tokens": count_tokens} if self.texts else {}
        more |= {"unit": unit} if unit is not None else {}
        read = getattr(import_module(f"traces.formats.{module}"), function)
        loaded: pd.DataFrame = read(path, skip_bad=skip_bad, **more)
        return loaded


FORMATS = (
    Format("parquet", "this project's own traces", ("arrival", "prompt_tokens", "output_tokens"), "parquet:read"),
    Format("azure", "Azure LLM inference, csv", ("TIMESTAMP", "ContextTokens", "GeneratedTokens"), "azure:load"),
    Format(
        "burstgpt", "BurstGPT, csv", ("Timestamp", "Model", "Request tokens", "Response tokens"), "burstgpt:load",
        unit="s",
    ),
    Format(
        "mooncake", "Mooncake, jsonl", ("timestamp", "input_length", "output_length", "hash_ids"), "mooncake:load",
        unit="ms",
    ),
    Format(
        "qwen_bailian", "Qwen-Bailian, jsonl",
        ("chat_id", "parent_chat_id", "timestamp", "input_length", "output_length", "hash_ids"), "qwen_bailian:load",
        unit="s",
    ),
    Format("vtc", "VTC's arena trace, csv", ("client", "req_time_s", "prompt_len", "output_len"), "vtc:load", unit="s"),
    Format("vidur", "Vidur's requests, csv", ("num_prefill_tokens", "num_decode_tokens"), "vidur:load", unit="s"),
    Format(
        "splitwise", "splitwise-sim's requests, csv",
        ("request_id", "arrival_timestamp", "batch_size", "prompt_size", "token_size"), "splitwise:load", unit="s",
    ),
    Format("infercept", "InferCept's API-augmented requests, json", ("cols", "data", "segs"), "infercept:load"),
    Format(
        "llmservingsim", "a vLLM run as LLMServingSim records it, jsonl",
        ("arrival_time", "input_toks", "output_toks"), "llmservingsim:load", unit="s",
    ),
    Format(
        "llmservingsim_sessions", "LLMServingSim's workloads, sessions of calls or requests, jsonl",
        ("arrival_time_ns", "input_toks", "output_toks"), "llmservingsim_sessions:load",
    ),
    Format(
        "vllm_bench", "what vLLM's benchmark measured, json", ("request_throughput", "total_input_tokens"),
        "vllm_bench:load",
    ),
    Format("vllm_dataset", "vLLM's custom prompts, jsonl", ("prompt", "output_tokens"), "vllm_dataset:load", True),
    Format("openai", "SGLang's openai prompts, jsonl", ("messages", "max_tokens"), "sglang_dataset:load", True),
    Format(
        "conversations", "conversations as ShareGPT's, for vLLM's and SGLang's benchmarks, json or jsonl",
        ("conversations",), "sglang_dataset:load", True,
    ),
    Format(
        "servegen_rates", "ServeGen's arrival windows by client, parquet",
        ("t", "rate", "cv", "pattern", "model", "client"), None,
    ),
    Format(
        "servegen_quantiles", "ServeGen's length quantiles by client, parquet",
        ("model", "client", "t", "field", "q50"), None,
    ),
    Format(
        "coding_sessions", "calls of coding agents' sessions, parquet",
        ("trace", "agent", "input_tokens", "blocks", "lcp_prev_blocks", "think_time"), None,
    ),
    Format(
        "ssjf_predictions", "SSJF's predicted classes, csv",
        ("output_token_length", "predicted_length", "latency"), None,
    ),
)  # fmt: skip


def known_format(name: str) -> Format:
    """The format called `name`; TraceError that lists all where there is none."""
    for form in FORMATS:
        if form.name == name:
            return form
    raise TraceError(f"no format is called {name!r}; there are {_names()}")


def told(path: Path) -> Format:
    """The format whose columns or keys the file has, the most specific where one's are among another's.

    TraceError that lists the formats where none fits, or where two fit alike.
    """
    found = _columns(path)
    fitting = [form for form in FORMATS if set(form.told_by) <= found]
    best = [form for form in fitting if not any(set(form.told_by) < set(other.told_by) for other in fitting)]
    if len(best) == 1:
        return best[0]
    which = " and ".join(form.name for form in best) if best else "no known format"
    shown = ", ".join(sorted(found)[:12]) or "no columns or keys"
    hint = "" if best else "; or say which column is which: tokenyard trace convert FILE --columns (trace=csv of a run)"
    raise TraceError(f"{path}: {which} fits what it begins with ({shown}); name it with --format: {_names()}{hint}")


def _names() -> str:
    return ", ".join(form.name for form in FORMATS)


def _columns(path: Path) -> set[str]:
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PAR1":
        try:
            return set(pq.read_schema(path).names)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise TraceError(f"{path}: cannot be read as parquet: {error}") from error
    try:
        with gzip.open(path) if start.startswith(b"\x1f\x8b") else path.open("rb") as file:
            text = file.read(PEEKED).decode("utf-8-sig", errors="replace")
    except (EOFError, OSError, zlib.error) as error:
        raise TraceError(f"{path}: the gzip file is broken: {error}") from error
    first = text.lstrip().split("\n", 1)[0].strip()
    if not first.startswith(("{", "[")):
        return set(first.split(",")) - {""}
    return set(_KEY.findall(first if _is_whole(first) else text))


def _is_whole(line: str) -> bool:
    """Whether a json line is closed, so that the next begins another object."""
    return line.endswith("}") and line.count("{") == line.count("}")
