"""A real vLLM engine of a model without its weights: from the model's config alone, in this process."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from profiles.measuring import models

BLOCK_SIZE = 32  # tokens of a KV block: what vLLM's attention on a CPU takes
STATED = (
    "vllm: LLMEngine.step() in this process, dummy weights, eager, asynchronous scheduling off, as the simulator has it"
)


def environment(threads: int, kv_gibibytes: int) -> dict[str, str]:
    """What vLLM reads from the environment when it is imported: one process, quiet, offline, so many threads."""
    return {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": str(kv_gibibytes),
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(threads),
    }


def model_folder(model: str, folder: Path) -> Path:
    """`folder`, with the config.json of `model` in it: all that vLLM needs for dummy weights."""
    folder.mkdir(parents=True, exist_ok=True)
    config = models.config(model)
    described = {**config.to_dict(), "architectures": [models.architecture_name(config)], "dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    return folder


def engine_settings(
    folder: Path, dtype: str, seed: int, max_model_len: int, max_num_seqs: int, max_num_batched_tokens: int
) -> dict[str, Any]:
    """The engine arguments of every vLLM here, in process and served."""
    return {
        "model": str(folder),
        "load_format": "dummy",
        "skip_tokenizer_init": True,
        "enforce_eager": True,
        "async_scheduling": False,
        "dtype": dtype,
        "seed": seed,
        "block_size": BLOCK_SIZE,
        "max_model_len": max_model_len,
        "max_num_seqs": max_num_seqs,
        "max_num_batched_tokens": max_num_batched_tokens,
    }


def build(settings: dict[str, Any], threads: int, kv_gibibytes: int, **others: Any) -> Any:
    """vLLM's `LLMEngine` of `settings` and `others`; ModuleNotFoundError says how to install it."""
    os.environ.update(environment(threads, kv_gibibytes))
    try:
        from vllm import EngineArgs, LLMEngine
    except ImportError as error:
        raise ModuleNotFoundError(f"no vLLM here ({error}): `make vllm` installs it in .venv-vllm") from error
    return LLMEngine.from_engine_args(EngineArgs(**settings, **others))


def add(engine: Any, name: str, prompt: list[int], output_tokens: int, priority: int = 0) -> None:
    """Submit a prompt of token ids, to be answered with just so many tokens."""
    from vllm import SamplingParams

    sampling = SamplingParams(max_tokens=output_tokens, ignore_eos=True, temperature=0.0, detokenize=False)
    engine.add_request(name, {"prompt_token_ids": prompt}, sampling, priority=priority)
