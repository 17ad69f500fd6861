"""Ask the vLLM that is installed: its own scheduler decides on random workloads, and the engine has to decide the same.

    tokenyard engine against-vllm
    tokenyard engine against-vllm --workloads 500 --kinds memory,prefix --seed 7 --save differing

vLLM's v1 `Scheduler` is driven in virtual time, without a model: requests enter in order of arrival before each
iteration, an iteration lasts fixed + per_token * tokens, every answer is of the length set and of token 7. What it did
is then replayed as `tokenyard engine golden` replays a stored workload, and matches by the same rules. The kinds:

    plain        many requests, few places, a small budget of tokens
    memory       answers that outgrow the KV cache, so that jobs are preempted
    priority     the same, under vLLM's priority policy
    prefix       prompts that begin alike, or go on from an earlier answer, with prefix caching
    longprefill  several long prompts at once, under long_prefill_token_threshold
    unchunked    no chunked prefill

Exits 1 unless all workloads match, 2 if vLLM is not installed: docs/engine.md says how to.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import os
import secrets
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from experiments.engine.golden import OUTPUT_ID, TOLERANCE, Comparison, compare, line, report
from experiments.engine.workloads import KINDS, Workload, generate

FOLLOWED = "0.32.0"  # the version whose decisions the engine takes
MODEL = {  # as small as a decoder can be; its weights are never looked for
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "num_hidden_layers": 1,
    "vocab_size": 1024,
    "max_position_embeddings": 1 << 20,
}


class Missing(RuntimeError):  # noqa: N818 - the state vLLM is in
    """vLLM cannot be imported."""


def installed() -> str:
    """The version of the vLLM that is installed, with its log silenced from now on; raises `Missing`."""
    logging.getLogger("vllm").setLevel(logging.CRITICAL)
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "CRITICAL")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        import vllm
        import vllm.v1.core.sched.scheduler
    except Exception as error:  # a package that vLLM imports may fail in a way of its own
        raise Missing(
            f"vLLM cannot be imported ({type(error).__name__}: {error}): `make vllm` installs it and tokenyard in an "
            "environment of their own; docs/engine.md says more"
        ) from error
    return str(vllm.__version__)


def drive(workload: Workload) -> Workload:
    """`workload` with what vLLM's scheduler does on it: iterations, first_token and finish."""
    from vllm.v1.outputs import ModelRunnerOutput

    scheduler, to_request = _scheduler(workload["config"])
    seconds = workload["iteration_seconds"]
    coming = sorted(workload["requests"], key=lambda row: row["arrival"], reverse=True)
    iterations: list[tuple[float, dict[str, int], list[str]]] = []
    first_token: dict[str, float] = {}
    finish: dict[str, float] = {}
    now = 0.0
    while coming or scheduler.has_unfinished_requests():
        if not scheduler.has_unfinished_requests():
            now = max(now, coming[-1]["arrival"])
        while coming and coming[-1]["arrival"] <= now:
            scheduler.add_request(to_request(coming.pop()))
        step = scheduler.schedule()
        granted = dict(step.num_scheduled_tokens)
        preempted = sorted(step.preempted_req_ids or ())
        if not granted and not preempted:
            raise RuntimeError(f"vLLM does nothing at {now} s, with {len(scheduler.requests)} requests unfinished")
        iterations.append((now, granted, preempted))
        now += seconds["fixed"] + seconds["per_scheduled_token"] * sum(granted.values())
        sampled = []
        for name in granted:
            request = scheduler.requests[name]
            sampled.append([OUTPUT_ID] if request.num_computed_tokens >= request.num_tokens else [])
            if sampled[-1]:
                first_token.setdefault(name, now)
        places = {name: place for place, name in enumerate(granted)}
        scheduler.update_from_output(step, ModelRunnerOutput(list(granted), places, sampled))
        finish.update((name, now) for name in granted if name not in scheduler.requests)
    return {**workload, "iterations": iterations, "first_token": first_token, "finish": finish}


def _scheduler(config: dict[str, Any]) -> tuple[Any, Any]:
    """vLLM's scheduler under `config`, and what makes its request of a row."""
    import torch
    from vllm.config import CacheConfig, DeviceConfig, ModelConfig, SchedulerConfig, VllmConfig
    from vllm.sampling_params import SamplingParams
    from vllm.utils.hashing import get_hash_fn_by_name
    from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
    from vllm.v1.core.sched.scheduler import Scheduler
    from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
    from vllm.v1.request import Request
    from vllm.v1.structured_output import StructuredOutputManager

    size, most = config["block_size"], config["max_model_len"]
    names = ("max_num_seqs", "max_num_batched_tokens", "policy", "enable_chunked_prefill")
    limits = {name: config[name] for name in (*names, "long_prefill_token_threshold")}
    cache = CacheConfig(block_size=size, enable_prefix_caching=config["enable_prefix_caching"])
    cache.num_gpu_blocks = config["num_blocks"]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(MODEL))
        settings = VllmConfig(
            model_config=ModelConfig(model=folder, skip_tokenizer_init=True, dtype="float16", max_model_len=most),
            cache_config=cache,
            scheduler_config=SchedulerConfig(
                **limits, max_model_len=most, is_encoder_decoder=False, async_scheduling=False
            ),
            device_config=DeviceConfig("cpu"),
        )
    built = {name: getattr(settings.scheduler_config, name) for name in limits}
    built |= {"block_size": cache.block_size, "enable_prefix_caching": cache.enable_prefix_caching}
    if changed := {name: value for name, value in built.items() if value != config[name]}:
        raise RuntimeError(f"vLLM has changed the config it was given: {changed}")
    group = KVCacheGroupSpec(["layer"], FullAttentionSpec(size, num_kv_heads=1, head_size=1, dtype=torch.float16))
    kv = KVCacheConfig(config["num_blocks"], kv_cache_tensors=[], kv_cache_groups=[group])
    scheduler = Scheduler(settings, kv, StructuredOutputManager(settings), block_size=size)
    hasher = None
    if config["enable_prefix_caching"]:
        hash_function = get_hash_fn_by_name(cache.prefix_caching_hash_algo)
        init_none_hash(hash_function)
        hasher = get_request_block_hasher(size, hash_function)

    def to_request(row: dict[str, Any]) -> Any:
        return Request(
            request_id=str(row["id"]),
            prompt_token_ids=row.get("prompt_token_ids") or [0] * row["prompt_tokens"],
            sampling_params=SamplingParams(max_tokens=row["output_tokens"], ignore_eos=True),
            pooling_params=None,
            arrival_time=row["arrival"],
            priority=row["priority"],
            block_hasher=hasher,
        )

    return scheduler, to_request


def verify(stored: Workload) -> bool:
    """Whether vLLM, driven here, does on a `stored` workload what is stored."""
    ours = drive(stored)
    for name in ("first_token", "finish"):
        if ours[name].keys() != stored[name].keys():
            return False
        if any(abs(instant - stored[name][request]) > TOLERANCE for request, instant in ours[name].items()):
            return False
    return len(ours["iterations"]) == len(stored["iterations"]) and all(
        abs(own[0] - other[0]) <= TOLERANCE
        and list(own[1].items()) == list(other[1].items())
        and own[2] == sorted(map(str, other[2]))
        for own, other in zip(ours["iterations"], stored["iterations"], strict=True)
    )


def judge(workload: Workload, name: str) -> Comparison:
    """Compare the engine with what vLLM did on `workload`; an engine that fails differs."""
    try:
        return compare(workload, name)
    except Exception as error:  # whatever it is, the other workloads are worth a look too
        return Comparison(name, len(workload["iterations"]), 0, f"tokenyard fails: {type(error).__name__}: {error}")


def save(workload: Workload, path: Path) -> None:
    """Write `workload` where `tokenyard engine golden` can read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps(workload).encode(), mtime=0))


def kinds(text: str) -> list[str]:
    """Kinds out of `text`, separated by commas."""
    chosen = [name.strip() for name in text.split(",")]
    for name in chosen:
        if name not in KINDS:
            raise argparse.ArgumentTypeError(f"no kind {name!r}: there are {', '.join(KINDS)}")
    return chosen


def whole(least: int) -> Any:
    """A type for argparse: a whole number, `least` or more."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, {least} or more")
        return int(text)

    return parse


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line, parsed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workloads", type=whole(1), default=200, metavar="N", help="how many (default: 200)")
    parser.add_argument("--seed", type=whole(0), metavar="S", help="repeat a run by the seed it printed")
    parser.add_argument("--kinds", type=kinds, default=list(KINDS), metavar="KIND,...", help="in turn (default: all)")
    parser.add_argument("--save", type=Path, metavar="DIR", help="write each workload that differs to DIR/*.json.gz")
    parser.add_argument("--save-all", action="store_true", help="write the others there too")
    parsed = parser.parse_args(arguments)
    if parsed.save_all and parsed.save is None:
        parser.error("--save-all needs --save DIR")
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the engine with vLLM on so many random workloads."""
    options = arguments_of(arguments)
    try:
        version = installed()
    except Missing as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    seed = secrets.randbits(32) if options.seed is None else options.seed
    print(f"vLLM {version}, {options.workloads} workloads, --seed {seed} --kinds {','.join(options.kinds)}", flush=True)
    if version.partition("+")[0] != FOLLOWED:
        print(f"warning: tokenyard follows vLLM {FOLLOWED}, another may decide otherwise", file=sys.stderr)
    comparisons: list[Comparison] = []
    preempting = 0
    # tqdm shows a bar on a terminal alone
    for number in tqdm(range(options.workloads), unit="workload", dynamic_ncols=True, leave=False, disable=None):
        kind = options.kinds[number % len(options.kinds)]
        workload = drive(generate(kind, np.random.default_rng((seed, number))))
        preempting += any(preempted for _, _, preempted in workload["iterations"])
        name = f"{kind}-{number}"
        comparisons.append(judge(workload, name))
        tqdm.write(line(comparisons[-1]), file=sys.stdout)
        if options.save and (options.save_all or comparisons[-1].difference):
            engine = f"vllm {version} v1 scheduler"
            save({"engine": engine, "seed": [seed, number], **workload}, options.save / f"{seed}-{name}.json.gz")
    print(f"vLLM preempted in {preempting} of {len(comparisons)} workloads")
    return report(comparisons)
