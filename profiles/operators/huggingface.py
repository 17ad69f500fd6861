"""The sizes of a model by what Hugging Face calls it, or by its config.json."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from profiles.operators.architecture import ARCHITECTURES, Architecture

# Decoders of this shape: gated feed-forward, no biases but those of Qwen2's queries, keys and values.
GATED = ("llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe")
ADDED = re.compile(r"-(base|instruct|chat|hf|v\d+(\.\d+)?|\d{4})$")  # what a release adds to the name of its sizes


def short_name(name: str) -> str:
    """`name` without its owner or folder and without what a release adds: meta-llama/Llama-3.1-8B is llama-3.1-8b."""
    short = name.rstrip("/").rpartition("/")[2].lower()
    while (shorter := ADDED.sub("", short)) != short:
        short = shorter
    return re.sub(r"^meta-", "", short)


def known(name: str) -> Architecture | None:
    """The sizes of the model that Hugging Face calls `name`, if they are known here."""
    return ARCHITECTURES.get(short_name(name))


def from_config(config: Mapping[str, Any], source: str) -> Architecture:
    """The sizes that a config.json states; ValueError names `source` and what is wrong."""

    def size(key: str, otherwise: int | None = None) -> int:
        value = config.get(key)
        value = otherwise if value is None else value
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{source}: {key} must be a positive whole number, got {value!r}")
        return value

    kind = config.get("model_type")
    if kind not in GATED:
        raise ValueError(f"{source}: model_type must be one of {', '.join(GATED)}, got {kind!r}")
    layers, hidden, heads = size("num_hidden_layers"), size("hidden_size"), size("num_attention_heads")
    kv_heads, head_dim = size("num_key_value_heads", heads), size("head_dim", hidden // heads)
    named = "num_experts" if "num_experts" in config else "num_local_experts"  # one word in files, one in transformers
    experts = size(named) if kind in ("mixtral", "qwen3_moe") else 0
    each = size("moe_intermediate_size" if kind == "qwen3_moe" else "intermediate_size")
    vocabulary = size("vocab_size")
    attention = 2 * hidden * heads * head_dim + 2 * hidden * kv_heads * head_dim
    norms = 2 * hidden + (2 * head_dim if kind.startswith("qwen3") else 0)
    biases = (heads + 2 * kv_heads) * head_dim if kind == "qwen2" else 0
    feed_forward = max(experts, 1) * 3 * hidden * each + experts * hidden
    embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings", False) else 2)
    return Architecture(
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        feed_forward=each,
        gated=True,
        vocabulary=vocabulary,
        max_model_len=size("max_position_embeddings"),
        parameter_count=layers * (attention + biases + norms + feed_forward) + embeddings + hidden,
        experts=experts,
        experts_per_token=size("num_experts_per_tok") if experts else 0,
    )
