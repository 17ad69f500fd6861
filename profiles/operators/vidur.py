"""Operator times of one device, from the tables that Vidur's profiler writes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from profiles.csv_table import checked, read_csv
from profiles.fit import choose_knots
from profiles.operators.architecture import Architecture
from profiles.point import Point

ELEMENT_BYTES = 2
PRODUCTS = ("attn_pre_proj", "attn_post_proj", "mlp_up_proj", "mlp_down_proj")
OTHERS = ("emb", "input_layernorm", "post_attention_layernorm", "add", "mlp_act", "attn_rope")
SAVE = "attn_kv_cache_save"
MLP_SHAPE = ("n_head", "n_kv_head", "n_embd", "n_expanded_embd", "vocab_size", "num_tensor_parallel_workers")
ATTENTION_SHAPE = ("n_q_head", "n_kv_head", "n_embd", "num_tensor_parallel_workers")
ATTENTION_SIZES = ("batch_size", "prefill_chunk_size", "kv_cache_size")


def median(operator: str) -> str:
    """The column of an operator's median, milliseconds."""
    return f"time_stats.{operator}.median"


def rows_of(table: pd.DataFrame, path: str, shape: Mapping[str, int]) -> pd.DataFrame:
    """The rows of one model's shape; ValueError, with the shapes that the table has, where there is none."""
    kept = table[np.logical_and.reduce([table[column] == value for column, value in shape.items()])]
    if kept.empty:
        known = sorted(set(table[list(shape)].itertuples(index=False, name=None)))
        raise ValueError(f"{path}: no line of {dict(shape)}; its {', '.join(shape)} are {known}")
    return kept


def read_products(path: str, model: Architecture, devices: int, skip_bad: bool) -> pd.DataFrame:
    """Medians (ms) of the operators of mlp.csv by `num_tokens`, of `model` on so many devices."""
    columns = [median(operator) for operator in PRODUCTS + OTHERS]
    table = read_csv(path, ("num_tokens", *MLP_SHAPE, *columns))
    sizes = (model.heads, model.kv_heads, model.hidden, model.feed_forward, model.vocabulary, devices)
    table = rows_of(table, path, dict(zip(MLP_SHAPE, sizes, strict=True)))
    table = checked(checked(table, path, ("num_tokens",), 1, skip_bad), path, columns, 0, skip_bad)
    return table.groupby("num_tokens")[columns].median()


def read_attention(path: str, model: Architecture, devices: int, block_size: int, skip_bad: bool) -> pd.DataFrame:
    """Rows of phase, batch, new, computed and `milliseconds` of attention with the KV write, from attention.csv."""
    times = [median(operator) for operator in ("attn_prefill", "attn_decode", SAVE)]
    table = read_csv(path, (*ATTENTION_SHAPE, "block_size", *ATTENTION_SIZES, "is_prefill", *times))
    sizes = (model.heads, model.kv_heads, model.hidden, devices, block_size)
    table = rows_of(table, path, dict(zip((*ATTENTION_SHAPE, "block_size"), sizes, strict=True)))
    table = checked(table, path, ("batch_size",), 1, skip_bad)
    prefill = table["is_prefill"].astype(str) == "True"
    prompts = checked(table[prefill], path, (times[0], "prefill_chunk_size"), 0, skip_bad)
    steps = checked(table[~prefill], path, (times[1],), 0, skip_bad)
    parts = (
        (prompts.assign(phase="prefill", new=prompts["prefill_chunk_size"].astype(int)), times[0]),
        (steps.assign(phase="decode", new=1), times[1]),
    )
    rows = pd.concat(part.assign(milliseconds=part[column] + part[times[2]]) for part, column in parts)
    rows = rows.rename(columns={"batch_size": "batch", "kv_cache_size": "computed"})
    keys = ["phase", "batch", "new", "computed"]
    return rows.groupby(keys)["milliseconds"].median().reset_index().astype(dict.fromkeys(keys[1:], int))


class VidurTimes:
    """16-bit operator times of Vidur's mlp.csv and attention.csv; an `OperatorTimes`.

    `shard` is what one device computes of the model (`Architecture.sharded`). Products and element-wise operators are
    interpolated in tokens; attention is answered at measured `points` alone, with rotary embedding and KV write. The
    tables have no LM head: it costs as many times the up projection, of the same depth, as it is wider. Written to the
    published schema; run on excerpts of the published tables, not on a whole one.
    """

    def __init__(self, products: pd.DataFrame, attention: pd.DataFrame, shard: Architecture) -> None:
        self.tokens = products.index.to_numpy(dtype=float)
        self.operators = {name: products[median(name)].to_numpy() / 1e3 for name in PRODUCTS + OTHERS}
        keys = attention[["phase", "batch", "new", "computed"]].itertuples(index=False, name=None)
        self.attention = {Point(*key): taken / 1e3 for key, taken in zip(keys, attention["milliseconds"], strict=True)}
        inner = shard.heads * shard.head_dim
        self.widest = shard.up_width
        self.columns = {
            (shard.qkv_width, shard.hidden): "attn_pre_proj",
            (shard.hidden, inner): "attn_post_proj",
            (shard.up_width, shard.hidden): "mlp_up_proj",
            (shard.hidden, shard.feed_forward): "mlp_down_proj",
        }
        self.head = (shard.vocabulary, shard.hidden)

    def points(self) -> list[Point]:
        """The measured points, thinned along each axis to steps of a fifth or more, within the products' tokens."""
        kept = [point for point in self.attention if point.tokens <= self.tokens[-1]]
        for phase in ("prefill", "decode"):
            own = [point for point in kept if point.phase == phase]
            for axis in ("batch", "new", "computed"):
                values = {getattr(point, axis) for point in own}
                knots = {*choose_knots(value for value in values if value), *(values & {0})}
                own = [point for point in own if getattr(point, axis) in knots]
            kept = [point for point in kept if point.phase != phase] + own
        return sorted(kept)

    def gemm(self, tokens: int, width: int, depth: int) -> float:
        if (width, depth) == self.head:
            return self._operator("mlp_up_proj", tokens) * width / self.widest
        return self._operator(self.columns[width, depth], tokens)

    def repeated_gemm(self, tokens: int, width: int, depth: int, block: int) -> float:
        return self.gemm(tokens, width, depth)  # measured alone

    def grouped_gemm(self, tokens: int, width: int, depth: int, experts: int, per_token: int) -> float:
        raise ValueError(f"a mixture of {experts} experts is not composed of these operators")

    def context_attention(self, point: Point, model: Architecture) -> float:
        return self.attention[point] + self._operator("attn_rope", point.tokens)

    def generation_attention(self, point: Point, model: Architecture) -> float:
        return self.attention[point] + self._operator("attn_rope", point.tokens)

    def elementwise(self, tokens: int, read: int, written: int) -> float:
        if read != written or read == self.widest:
            return self._operator("mlp_act", tokens)
        norms = (self._operator(name, tokens) for name in ("input_layernorm", "post_attention_layernorm"))
        return sum(norms) / 2 + self._operator("add", tokens)

    def softmax(self, scores: int, model: Architecture) -> float:
        return 0.0  # attention has it

    def embedding(self, tokens: int, model: Architecture) -> float:
        return self._operator("emb", tokens)

    def _operator(self, name: str, tokens: int) -> float:
        return float(np.interp(tokens, self.tokens, self.operators[name]))


class VidurLink:
    """All-reduce times of Vidur's all_reduce.csv among `devices` of one node; implements `tensor_parallel.Link`."""

    def __init__(self, path: str, devices: int, skip_bad: bool) -> None:
        column = median("all_reduce")
        table = read_csv(path, ("num_workers", "devices_per_node", "collective", "size", column))
        table = table[table["collective"] == "all_reduce"]
        table = rows_of(table, path, {"num_workers": devices, "devices_per_node": devices})
        table = checked(table, path, ("size", column), 0, skip_bad)
        times = table.groupby("size")[column].median() / 1e3
        self.bytes, self.seconds = times.index.to_numpy(dtype=float), times.to_numpy()

    def all_reduce(self, elements: int, devices: int) -> float:
        """Seconds to add up `elements` of 16 bits; beyond the largest measured, in proportion to it."""
        size = elements * ELEMENT_BYTES
        return float(np.interp(size, self.bytes, self.seconds)) * max(1.0, size / self.bytes[-1])
