"""The sizes of a model by what Hugging Face calls it, or by its config.json."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from profiles.operators.architecture import ARCHITECTURES, Architecture
from profiles.operators.families import FAMILIES, NEUTRAL, Family

ADDED = re.compile(r"-(base|instruct|chat|hf|v\d+(\.\d+)?|\d{4})$")  # what a release adds to the name of its sizes
FULL, SLIDING = "full_attention", "sliding_attention"
INSIDE = {"gemma3": "gemma3_text", "mistral3": "mistral"}  # a model that sees pictures too: its decoder's model_type
WHOLE = ("quantization_config", "tie_word_embeddings")  # said of such a model as a whole
COUNTS = {"num_experts": "num_local_experts", "num_local_experts": "num_experts"}  # the other word for it


def short_name(name: str) -> str:
    """`name` without its owner or folder and without what a release adds: meta-llama/Llama-3.1-8B is llama-3.1-8b."""
    short = name.rstrip("/").rpartition("/")[2].lower()
    while (shorter := ADDED.sub("", short)) != short:
        short = shorter
    return re.sub(r"^meta-", "", short)


def known(name: str) -> Architecture | None:
    """The sizes of the model that Hugging Face calls `name`, if they are known here."""
    return ARCHITECTURES.get(short_name(name))


def sizes_of(model: str, ignored: Collection[str] = ()) -> tuple[str, Architecture]:
    """A name and the sizes of `model`: one that is known here, or the path of a config.json or of its folder.

    The name of a file's model is its folder's, in short. ValueError names the file and what is wrong with it.
    """
    if not is_path(model):
        if model not in ARCHITECTURES:
            names = ", ".join(sorted(ARCHITECTURES))
            raise ValueError(f"unknown model {model!r}: give the path of its config.json, or one of {names}")
        return model, ARCHITECTURES[model]
    path = Path(model).expanduser()
    path = path / "config.json" if path.is_dir() else path
    try:
        config = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_each_once)
    except FileNotFoundError:
        raise ValueError(f"no config of a model at {path}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: no json can be read: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path}: it must hold an object, as a config.json does, got {type(config).__name__}")
    inner = config.get("text_config")
    if idle := sorted(set(ignored) - {*config, *(inner if isinstance(inner, dict) else ())}):
        raise ValueError(f"{path}: ignored=[{','.join(idle)}]: there is no such field")
    return model_name(path), from_config(config, str(path), ignored)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The fields of an object; ValueError for one that is there twice."""
    keys = [key for key, _ in pairs]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise ValueError(f"{twice[0]} is there twice")
    return dict(pairs)


def is_path(model: str) -> bool:
    """Whether `model` names a file or a folder, and is no model's name: of one that is known here only with a slash."""
    return (
        model.endswith(".json") or "/" in model or (model not in ARCHITECTURES and Path(model, "config.json").is_file())
    )


def model_name(path: Path) -> str:
    """What the model of a config.json is called: its folder's name, or its own where it has another."""
    return short_name(path.resolve().parent.name if path.name == "config.json" else path.stem)


@dataclass(slots=True)
class Fields:
    """A config.json of one family, asked field by field; `read` are those that were."""

    config: Mapping[str, Any]
    source: str
    family: Family
    read: set[str] = field(default_factory=set)

    def get(self, key: str, otherwise: Any = None) -> Any:
        """What it says of `key`, else what transformers takes there, else `otherwise`."""
        name = self.family.names.get(key, key)
        self.read.add(name)
        value = self.config.get(name)
        if value is None:
            value = self.family.defaults.get(key)
        return otherwise if value is None else value

    def size(self, key: str, otherwise: int | None = None) -> int:
        """The same, a positive whole number."""
        value = self.get(key, otherwise)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            name = self.family.names.get(key, key)
            raise ValueError(f"{self.source}: {name} must be a positive whole number, got {value!r}")
        return value

    def flag(self, key: str, otherwise: bool = False) -> bool:
        """The same, true or false."""
        value = self.get(key, otherwise)
        if not isinstance(value, bool):
            raise ValueError(f"{self.source}: {key} must be true or false, got {value!r}")
        return value

    def bias(self, part: str) -> bool:
        """Whether a product has one."""
        said = self.family.biases.get(part, False)
        return said if isinstance(said, bool) else self.flag(said)

    def refuse_unknown(self, ignored: Collection[str]) -> None:
        """ValueError for a field that says something, and of which it is not known what that changes."""
        for key, value in self.family.only.items():
            if (found := self.get(key, value)) != value and key not in ignored:
                raise ValueError(f"{self.source}: {key}={shown(found)}: only {shown(value)} is composed here")
        unknown = [
            f"{key}={shown(value)}"
            for key, value in self.config.items()
            if key not in self.read and key not in NEUTRAL and key not in ignored and not key.startswith("_")
            if value not in (None, False, "", 0) and value != [] and value != {}
        ]
        if unknown:
            raise ValueError(
                f"{self.source}: not known what it changes: {', '.join(unknown)}; if nothing of a pass's cost, "
                f"ignored=[{','.join(one.split('=')[0] for one in unknown)}]"
            )


def shown(value: Any) -> str:
    """A value in few words."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def from_config(config: Mapping[str, Any], source: str, ignored: Collection[str] = ()) -> Architecture:
    """The sizes that a config.json states; ValueError names `source`, the field, and what is wrong with it.

    Of a model that sees pictures too they are those of its decoder alone (`text_config`). What a field says that is not
    known here is refused, unless it is `ignored`.
    """
    kind, inner = str(config.get("model_type")), config.get("text_config")
    if kind not in FAMILIES and isinstance(inner, Mapping):
        outer = {key: config[key] for key in WHOLE if key in config}
        decoder = {**outer, "model_type": INSIDE.get(kind), **inner}
        return from_config(decoder, f"{source}: text_config", ignored)
    if kind not in FAMILIES:
        raise ValueError(
            f"{source}: model_type must be one of {', '.join(sorted(FAMILIES))}, got {kind!r}: how others are built is "
            "not known here"
        )
    said = Fields(config, source, FAMILIES[kind])
    quantized = said.get("quantization_config")
    if quantized and "quantization_config" not in ignored:
        method = quantized.get("quant_method") if isinstance(quantized, Mapping) else quantized
        raise ValueError(
            f"{source}: quantization_config.quant_method={shown(method)}: not composed here; "
            "ignored=[quantization_config] takes the model as it was before"
        )
    layers, hidden, heads = map(said.size, ("num_hidden_layers", "hidden_size", "num_attention_heads"))
    kv_heads = _kv_heads(said, heads)
    window, windowed = _window(said, layers)
    sizes = Architecture(
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=said.size("head_dim", max(1, hidden // heads)),
        gated=said.family.gated,
        vocabulary=said.size("vocab_size"),
        max_model_len=said.size("max_position_embeddings"),
        parameter_count=0,
        window=window,
        windowed_layers=windowed,
        **_feed_forward(said, hidden, layers),
    )
    counted = replace(sizes, parameter_count=_parameters(said, sizes))
    said.refuse_unknown(ignored)
    return counted


def _kv_heads(said: Fields, heads: int) -> int:
    """Heads of keys and values; one where all queries share them."""
    shared = "multi_query" in said.family.defaults and said.flag("multi_query")
    if shared and not said.flag("new_decoder_architecture"):
        said.get("num_key_value_heads")  # which says nothing then
        return 1
    found = said.size("num_key_value_heads", heads)
    if heads % found:
        raise ValueError(f"{said.source}: num_key_value_heads must divide the {heads} heads, got {found}")
    return found


def _window(said: Fields, layers: int) -> tuple[int, int]:
    """The window, tokens, and how many layers attend to it alone; 0 and 0 where none does."""
    rule, kinds = said.family.window, said.get("layer_types")
    if not rule and kinds is None:
        return 0, 0
    for key in ("sliding_window_pattern", "_sliding_window_pattern"):
        rule = said.get(key, rule) if isinstance(rule, int) else rule
    first = said.get("max_window_layers", layers) if rule == "from" else 0
    on = said.flag("use_sliding_window") if rule == "from" else said.get("sliding_window") is not None
    if kinds is not None:
        if not isinstance(kinds, list) or len(kinds) != layers:
            raise ValueError(f"{said.source}: layer_types must be a list of {layers}, one a layer, got {shown(kinds)}")
        for number, one in enumerate(kinds):
            if one not in (FULL, SLIDING):
                raise ValueError(
                    f"{said.source}: layer_types[{number}]={shown(one)}: such layers are not composed here"
                )
        windowed = kinds.count(SLIDING)
    elif not on:
        windowed = 0
    elif isinstance(rule, int):
        windowed = layers - layers // said.size("sliding_window_pattern", rule)
    else:
        windowed = max(0, layers - first)
    if not windowed:
        said.get("sliding_window")
        return 0, 0
    return said.size("sliding_window"), windowed


def _feed_forward(said: Fields, hidden: int, layers: int) -> dict[str, Any]:
    """The fields of `Architecture` for the feed-forward parts."""
    mixture = said.family.mixture
    if mixture is None:
        return {"feed_forward": said.size("intermediate_size", None if said.family.gated else 4 * hidden)}
    count = mixture.count if mixture.count in said.config else COUNTS[mixture.count]
    found = {
        "feed_forward": said.size(mixture.columns),
        "experts": said.size(count),
        "experts_per_token": said.size("num_experts_per_tok"),
    }
    if found["experts_per_token"] > found["experts"]:
        raise ValueError(f"{said.source}: num_experts_per_tok must be at most {count}={found['experts']}, got "
                         f"{found['experts_per_token']}")  # fmt: skip
    if mixture.shared:
        found["shared_columns"] = said.size(mixture.shared)
    if mixture.sparse:
        step, only = said.size("decoder_sparse_step", 1), said.get("mlp_only_layers", [])
        if not isinstance(only, list) or not all(isinstance(one, int) for one in only):
            raise ValueError(f"{said.source}: mlp_only_layers must be a list of layers, got {shown(only)}")
        dense = sum(number in only or (number + 1) % step > 0 for number in range(layers))
        columns = said.get("intermediate_size")
        if dense:
            found |= {"dense_layers": dense, "dense_feed_forward": said.size("intermediate_size", columns)}
    return found


def _parameters(said: Fields, sizes: Architecture) -> int:
    """All weights, biases, norms and embeddings."""
    family, hidden = said.family, sizes.hidden
    inner, kv = sizes.heads * sizes.head_dim, sizes.kv_heads * sizes.head_dim
    if (wide := said.get("word_embed_proj_dim", hidden)) != hidden:
        raise ValueError(f"{said.source}: word_embed_proj_dim must be hidden_size={hidden}, got {shown(wide)}")

    def feed_forward(columns: int) -> int:
        up = columns * (2 if sizes.gated else 1)
        return hidden * (up + columns) + (up + hidden if biased else 0)

    mixture = family.mixture
    biased = said.bias("feed_forward") or (mixture is not None and mixture.biases)
    attention = hidden * (inner + 2 * kv) + inner * hidden
    attention += (inner + 2 * kv if said.bias("qkv") else 0) + (hidden if said.bias("output") else 0)
    norm = hidden * (2 if family.norm_biases else 1)
    norms = family.norms * norm + {"": 0, "head": 2 * sizes.head_dim, "width": inner + kv}[family.qk_norms]
    if mixture is None:
        parts = sizes.layers * feed_forward(sizes.feed_forward)
    else:
        each = sizes.experts * (feed_forward(sizes.feed_forward) + hidden + (1 if mixture.biases else 0))
        each += feed_forward(sizes.shared_columns) + hidden if mixture.shared else 0  # and a gate of its own
        each += sizes.heads if mixture.biases else 0  # of gpt_oss, what each head may attend to beside
        parts = (sizes.layers - sizes.dense_layers) * each + sizes.dense_layers * feed_forward(sizes.dense_feed_forward)
    embeddings = sizes.vocabulary * hidden * (1 if said.flag("tie_word_embeddings") else 2)
    embeddings += sizes.vocabulary if family.head_bias else 0
    if family.positions is not None:
        embeddings += (sizes.max_model_len + family.positions) * hidden
    return sizes.layers * (attention + norms) + parts + embeddings + norm
