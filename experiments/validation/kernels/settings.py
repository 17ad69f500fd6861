"""Which settings of vLLM's engine `validate kernels` simulates, refuses, or may pass over, by vLLM's own names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Read by `served.read_engine`.
READ = (
    "model", "dtype", "tensor_parallel_size", "data_parallel_size", "enable_expert_parallel", "max_num_seqs",
    "max_num_batched_tokens", "max_model_len", "async_scheduling", "enable_prefix_caching", "enable_chunked_prefill",
    "long_prefill_token_threshold", "block_size", "gpu_memory_utilization", "num_gpu_blocks", "num_gpu_blocks_override",
    "ignore_eos", "device_total_memory_bytes", "all2all_backend",
)  # fmt: skip
# What changes the kernels, the memory or the order of requests: by the only value that is simulated.
ONLY: Mapping[str, Any] = {
    "quantization": None,
    "hf_overrides": None,
    "speculative_config": None,
    "speculative_model": None,
    "num_speculative_tokens": None,
    "lora_config": None,
    "enable_lora": False,
    "kv_transfer_config": None,
    "kv_offloading_size": None,
    "kv_cache_memory_bytes": None,
    "cpu_offload_gb": 0,
    "calculate_kv_scales": False,
    "disable_sliding_window": False,
    "policy": "fcfs",
    "scheduling_policy": "fcfs",
    "num_scheduler_steps": 1,
    "max_num_partial_prefills": 1,
    "max_long_partial_prefills": 1,
    "pipeline_parallel_size": 1,
    "prefill_context_parallel_size": 1,
    "decode_context_parallel_size": 1,
    "enable_dbo": False,
    "enable_eplb": False,
}
# Without effect on the seconds of a step: weights and text, names, logs. [R] vLLM's V1 engine never swaps.
NEUTRAL = (
    "seed", "load_format", "download_dir", "revision", "code_revision", "config_format", "generation_config",
    "tokenizer", "tokenizer_mode", "tokenizer_revision", "skip_tokenizer_init", "trust_remote_code", "hf_token",
    "served_model_name", "max_logprobs", "disable_log_stats", "disable_log_requests", "enable_log_requests",
    "swap_space", "enable_sleep_mode", "prefix_caching_hash_algo", "use_tqdm_on_load", "hf_config_path",
)  # fmt: skip
# What another value does to a step is not known here: with this one, vLLM's own, there is nothing to tell.
USUAL = {"enforce_eager": False, "disable_custom_all_reduce": False, "disable_cascade_attn": False}
KV_CACHE_DTYPES = ("kv_cache_dtype", "cache_dtype")  # as asked for, and in vLLM's own cache_config


def refused(name: str, value: Any, dtype: str) -> str:
    """Why a run with this setting is not simulated; nothing if it is. `dtype` is the elements' own."""
    if name in KV_CACHE_DTYPES:
        return "" if value in (None, "auto", dtype) else f"{name} is {value!r}, and only 'auto' is simulated here"
    if name not in ONLY or value is None or value == ONLY[name] or (ONLY[name] is None and not value):
        return ""
    if ONLY[name] is None:
        return f"{name} is {value!r}, and nothing of the kind is simulated here"
    return f"{name} is {value!r}, and only {ONLY[name]!r} is simulated here"


def not_understood(kwargs: Mapping[str, Any]) -> list[str]:
    """The settings of an engine of which it is not known what they do to a step, as KEY=VALUE; unset ones are none."""
    known = {*READ, *ONLY, *NEUTRAL, *KV_CACHE_DTYPES}
    others = {name: value for name, value in kwargs.items() if name not in known and value is not None}
    return [f"{name}={value}" for name, value in others.items() if name not in USUAL or value != USUAL[name]]
