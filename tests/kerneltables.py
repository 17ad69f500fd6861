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
# The same with four experts a layer, to all of which every token goes: so all are activated.
EXPERTS = 4
MIXTURE = CONFIG | {
    "model_type": "qwen3_moe", "num_experts": EXPERTS, "num_experts_per_tok": EXPERTS, "moe_intermediate_size": 32,
}  # fmt: skip
LAYERS = CONFIG["num_hidden_layers"]
# Microseconds of one layer, linear in what the grids are linear in: so what lies between is known as well.
PER_CONTEXT, PER_TOKEN, ATTENTION, LAYER, NORM, HEAD = 0.5, 2.0, 30.0, 400.0, 10.0, 300.0
PER_EXPERT, PER_ROUTED_TOKEN = 20.0, 0.7
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


def experts_seconds(tokens: float, ranks: int) -> float:
    """Seconds of a step's experts, of which each of `ranks` with so many tokens on average holds as many."""
    return LAYERS * (PER_EXPERT * EXPERTS / ranks + PER_ROUTED_TOKEN * max(1, tokens)) * 1e-6


def make(folder: Path, devices: int = 1, exchange: float = 0.0, mixture: bool = False, ranks: int = 1) -> Made:
    """Tables of one of `devices`, and a run of them, each of whose steps took `exchange` seconds (s) more.

    Of a `mixture` of experts there may be several `ranks`, which hold shares of them and step together.
    """
    sharing = f"_tp{devices}" if devices > 1 else ""
    stem = f"{folder}/imagined_made-up-1b{sharing}"
    places = [place for place in product(CHUNKS, COMPUTED, JOBS, CONTEXTS) if bool(place[2]) == bool(place[3])]
    rows = [
        (*place, ATTENTION + PER_CONTEXT * place[2] * place[3])
        for place in places
        if any(place) and (place[0] or not place[1])
    ]
    _csv(f"{stem}_attention", "prefill_chunk,kv_prefill,n_decode,kv_decode,time_us", rows)
    dense = [("o_proj" if mixture else "down_proj", tokens, LAYER + PER_TOKEN * tokens) for tokens in (1, 1024)]
    once = [(name, tokens, NORM) for name in ("layernorm", "embedding", "final_layernorm") for tokens in (1, 1024)]
    _csv(f"{stem}_dense", "layer,tokens,time_us", [*dense, *once])
    if mixture:
        places = [*product((1, 1024), (1, EXPERTS))]
        rows = [(*place, PER_ROUTED_TOKEN * place[0] + PER_EXPERT * place[1]) for place in places]
        _csv(f"{stem}_moe", "tokens,activated_experts,time_us", rows)
    _csv(f"{stem}_per_sequence", "layer,sequences,time_us", [("lm_head", 1, HEAD - 1.0), ("sampler", 1, 1.0)])
    Path(f"{stem}_profile.meta.yaml").write_text(
        f"gpu: Imagined Accelerator\nmodel: nobody/made-up-1b\nvariant: bf16\ntp_degrees: [{devices}]\n"
        "engine_effective: {block_size: 16, gpu_memory_utilization: 0.9}\n"
    )
    (folder / "config.json").write_text(json.dumps(MIXTURE if mixture else CONFIG))
    run, meta = folder / "run.jsonl.gz", folder / "run.meta.json"
    requests = [(0.004 * n, 20 + 37 * n % 300, 5 + 11 * n % 40) for n in range(60)]
    served = serve(requests, 8, 256, exchange, mixture, ranks)
    run.write_bytes(gzip.compress("\n".join(map(json.dumps, served)).encode()))
    kwargs = {"model": "nobody/made-up-1b", "tensor_parallel_size": devices, "max_num_seqs": 8}
    kwargs |= {
        "data_parallel_size": ranks,
        "enable_expert_parallel": ranks > 1,
        "max_num_batched_tokens": 256,
        "dtype": "bfloat16",
        "async_scheduling": False,
    }
    stated = {"model": "nobody/made-up-1b", "vllm_version": "0.19.0", "engine_kwargs": kwargs}
    meta.write_text(json.dumps(stated | {"kv_cache": {"num_gpu_blocks": 4096, "block_size": 16}}))
    return Made(folder, stem, run, meta)


def serve(
    requests: list[tuple[float, int, int]], seats: int, budget: int, exchange: float, mixture: bool, ranks: int
) -> list[dict[str, Any]]:
    """Continuous batching with chunked prefill, first come first served, memory without end; (arrival, prompt, answer).

    A request goes to the rank with the fewest, and a step of all lasts as long as the slowest's. Written apart from the
    simulator, as little as it takes: rows as LLMServingSim's benchmark writes them.
    """
    now, served = 0.0, []
    queues, batches = [[] for _ in range(ranks)], [[] for _ in range(ranks)]
    coming = [
        {"request_id": f"r-{n}", "input_toks": prompt, "output_toks": answer, "arrival_time": 5e8 + arrival,
         "queued_ts": arrival, "left": prompt, "made": 0}
        for n, (arrival, prompt, answer) in enumerate(requests)
    ]  # fmt: skip
    while coming or any(queues) or any(batches):
        if not any(queues) and not any(batches):
            now = max(now, coming[0]["queued_ts"])
        _send(coming, now, queues, batches)
        granted, used, slowest = [], 0, 0.0
        for waiting, running in zip(queues, batches, strict=True):
            left, context = budget, 0
            for job in [*running, *waiting]:
                if not left or (job not in running and len(running) == seats):
                    break
                if job not in running:
                    job["scheduled_ts"] = now
                    running.append(job)
                    waiting.remove(job)
                tokens = min(left, job["left"]) if job["left"] else 1
                context += 0 if job["left"] else job["input_toks"] + job["made"]
                left -= tokens
                granted.append((job, tokens, running))
            used += budget - left
            slowest = max(slowest, step_seconds(budget - left, context) if running else 0.0)
        now += slowest + exchange + (experts_seconds(used / ranks, ranks) if mixture else 0.0)
        _send(coming, now, queues, batches)  # before those leave who end with the step
        for job, tokens, running in granted:
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


def _send(coming: list[Any], until: float, queues: list[list[Any]], batches: list[list[Any]]) -> None:
    while coming and coming[0]["queued_ts"] <= until:
        rank = min(range(len(queues)), key=lambda rank: len(queues[rank]) + len(batches[rank]))
        queues[rank].append(coming.pop(0))


def _csv(stem: str, header: str, rows: list[tuple[Any, ...]]) -> None:
    text = "\n".join([header, *(",".join(map(str, row)) for row in rows)])
    Path(f"{stem}.csv.gz").write_bytes(gzip.compress(text.encode()))
