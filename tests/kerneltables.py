"""A made-up device: kernel tables of a cost that is known, and a run that was served at that cost, by hand."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

CONFIG = {
    "model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 1000,
    "num_key_value_heads": 2, "intermediate_size": 128, "max_position_embeddings": 4096,
}  # fmt: skip
LAYERS = CONFIG["num_hidden_layers"]
# Microseconds of one layer, linear in what the grids are linear in: so what lies between is known as well.
PER_CONTEXT, PER_TOKEN, ATTENTION, LAYER, NORM, HEAD = 0.5, 2.0, 30.0, 400.0, 10.0, 300.0
CHUNKS, COMPUTED, JOBS, CONTEXTS = (0, 16, 512), (0, 1024), (0, 1, 64), (0, 16, 2048)


@dataclass(frozen=True)
class Made:
    """Where the files of a made-up device are."""

    folder: Path
    tables: str
    run: Path
    meta: Path

    def change(self, **changes: Any) -> None:
        """Write the meta.json anew with other settings of the engine; None leaves one out."""
        meta = json.loads(self.meta.read_text())
        kwargs = meta["engine_kwargs"] | changes
        meta["engine_kwargs"] = {name: value for name, value in kwargs.items() if value is not None}
        self.meta.write_text(json.dumps(meta))

    @property
    def arguments(self) -> list[str]:
        """What the command is given."""
        config, results = self.folder / "config.json", self.folder / "results"
        return [self.tables, str(self.run), "--config", str(config), "--results", str(results)]


def step_seconds(tokens: int, context: int) -> float:
    """Seconds of a step over `tokens`, whose decoding jobs have `context` tokens together."""
    layer = ATTENTION + PER_CONTEXT * context + LAYER + PER_TOKEN * tokens + 2 * NORM
    return (LAYERS * layer + 2 * NORM + HEAD) * 1e-6


def make(folder: Path, devices: int = 1, exchange: float = 0.0) -> Made:
    """Tables of one of `devices`, and a run of them, each of whose steps took `exchange` seconds (s) more."""
    sharing = f"_tp{devices}" if devices > 1 else ""
    stem = f"{folder}/imagined_made-up-1b{sharing}"
    places = [place for place in product(CHUNKS, COMPUTED, JOBS, CONTEXTS) if bool(place[2]) == bool(place[3])]
    rows = [
        (*place, ATTENTION + PER_CONTEXT * place[2] * place[3])
        for place in places
        if any(place) and (place[0] or not place[1])
    ]
    _csv(f"{stem}_attention", "prefill_chunk,kv_prefill,n_decode,kv_decode,time_us", rows)
    dense = [("down_proj", tokens, LAYER + PER_TOKEN * tokens) for tokens in (1, 1024)]
    once = [(name, tokens, NORM) for name in ("layernorm", "embedding", "final_layernorm") for tokens in (1, 1024)]
    _csv(f"{stem}_dense", "layer,tokens,time_us", [*dense, *once])
    _csv(f"{stem}_per_sequence", "layer,sequences,time_us", [("lm_head", 1, HEAD - 1.0), ("sampler", 1, 1.0)])
    Path(f"{stem}_profile.meta.yaml").write_text(
        f"gpu: Imagined Accelerator\nmodel: nobody/made-up-1b\nvariant: bf16\ntp_degrees: [{devices}]\n"
        "engine_effective: {block_size: 16, gpu_memory_utilization: 0.9}\n"
    )
    (folder / "config.json").write_text(json.dumps(CONFIG))
    run, meta = folder / "run.jsonl.gz", folder / "run.meta.json"
    served = serve([(0.004 * n, 20 + 37 * n % 300, 5 + 11 * n % 40) for n in range(60)], 8, 256, exchange)
    run.write_bytes(gzip.compress("\n".join(map(json.dumps, served)).encode()))
    kwargs = {"model": "nobody/made-up-1b", "tensor_parallel_size": devices, "data_parallel_size": 1, "max_num_seqs": 8}
    kwargs |= {"max_num_batched_tokens": 256, "dtype": "bfloat16", "async_scheduling": False}
    stated = {"model": "nobody/made-up-1b", "vllm_version": "0.19.0", "engine_kwargs": kwargs}
    meta.write_text(json.dumps(stated | {"kv_cache": {"num_gpu_blocks": 4096, "block_size": 16}}))
    return Made(folder, stem, run, meta)


def serve(requests: list[tuple[float, int, int]], seats: int, budget: int, exchange: float) -> list[dict[str, Any]]:
    """Continuous batching with chunked prefill, first come first served, memory without end; (arrival, prompt, answer).

    Written apart from the simulator, as little as it takes: rows as LLMServingSim's benchmark writes them.
    """
    now, served, running = 0.0, [], []
    waiting = [
        {"request_id": f"r-{n}", "input_toks": prompt, "output_toks": answer, "arrival_time": 5e8 + arrival,
         "queued_ts": arrival, "left": prompt, "made": 0}
        for n, (arrival, prompt, answer) in enumerate(requests)
    ]  # fmt: skip
    while waiting or running:
        if not running:
            now = max(now, waiting[0]["queued_ts"])
        left, context, granted = budget, 0, []
        for job in [*running, *(job for job in waiting if job["queued_ts"] <= now)]:
            if not left or (job not in running and len(running) == seats):
                break
            if job not in running:
                job["scheduled_ts"] = now
                running.append(job)
                waiting.remove(job)
            tokens = min(left, job["left"]) if job["left"] else 1
            context += 0 if job["left"] else job["input_toks"] + job["made"]
            left -= tokens
            granted.append((job, tokens))
        now += step_seconds(budget - left, context) + exchange
        for job, tokens in granted:
            job["left"] = max(0, job["left"] - tokens)
            if job["left"]:
                continue
            job["made"] += 1
            job.setdefault("first_token_ts", now)
            if job["made"] == job["output_toks"]:
                job["last_token_ts"] = now
                running.remove(job)
                served.append(job)
    served.sort(key=lambda job: job["arrival_time"])
    return [{name: value for name, value in job.items() if name not in ("left", "made")} for job in served]


def _csv(stem: str, header: str, rows: list[tuple[Any, ...]]) -> None:
    text = "\n".join([header, *(",".join(map(str, row)) for row in rows)])
    Path(f"{stem}.csv.gz").write_bytes(gzip.compress(text.encode()))
