"""Composition: a pass is the sum of its operators, counted by hand."""

from dataclasses import dataclass, field

import pytest

from profiles.import_aiconfigurator import sample_points
from profiles.operators.architecture import Architecture, architecture
from profiles.operators.decoder import pass_seconds
from profiles.point import decode_point, prefill_point

TINY = Architecture(2, 8, 4, 2, 2, 16, True, 100, 64, 1000)
GEMM = {(6, 16, 8): 1.0, (6, 8, 8): 2.0, (6, 32, 8): 4.0, (6, 8, 16): 8.0, (2, 100, 8): 16.0}
DECODE_GEMM = {(2, 16, 8): 1.0, (2, 8, 8): 2.0, (2, 32, 8): 4.0, (2, 8, 16): 8.0, (2, 100, 8): 16.0}


@dataclass
class Table:
    """Operator times by size; an unexpected size is a KeyError."""

    products: dict = field(default_factory=dict)

    def gemm(self, tokens, width, depth):
        return self.products[tokens, width, depth]

    def context_attention(self, point, model):
        return {prefill_point(2, 3, 5): 0.5}[point]

    def generation_attention(self, point, model):
        return {decode_point(2, 9): 0.25}[point]

    def elementwise(self, tokens, read, written):
        return {(32, 16): 0.01, (16, 16): 0.001}[read, written]

    def softmax(self, scores, model):
        return 0.0

    def embedding(self, tokens, model):
        return 100.0


def test_a_prefill_pass_is_its_operators():
    by_hand = 0.5 + 100 + 2 * (1 + 0.5 + 2 + 4 + 0.01 + 8 + 2 * 0.001) + 16
    assert pass_seconds(TINY, Table(GEMM), prefill_point(2, 3, 5), host_seconds=0.5) == pytest.approx(by_hand)


def test_a_decode_step_is_its_operators():
    by_hand = 100 + 2 * (1 + 0.25 + 2 + 4 + 0.01 + 8 + 2 * 0.001) + 16
    assert pass_seconds(TINY, Table(DECODE_GEMM), decode_point(2, 9), host_seconds=0) == pytest.approx(by_hand)
    table = sample_points(TINY, Table(DECODE_GEMM), [decode_point(2, 9)], 0.0)
    assert table.to_dict("records") == [
        {"phase": "decode", "batch": 2, "new": 1, "computed": 8, "pass": 0, "seconds": pytest.approx(by_hand)}
    ]


def test_the_packaged_tables_answer_with_what_was_measured():
    """Rows of the shipped GEMM and attention tables (vLLM 0.24.0 on an L40S), in seconds."""
    pytest.importorskip("aiconfigurator_core")
    from profiles.operators.aiconfigurator import AiconfiguratorTimes, neighbouring_kv_heads

    times = AiconfiguratorTimes("l40s", "vllm", "0.24.0")
    llama = architecture("llama-3.1-8b")
    folder = times_folder()
    gemm = rows(folder / "gemm/vllm/0.24.0/gemm_perf.parquet", m=64, n=4096, k=4096, gemm_dtype="bfloat16")
    assert times.gemm(64, 4096, 4096) == pytest.approx(gemm / 1e3, rel=1e-3)
    attention = rows(
        folder / "attention/vllm/0.24.0/generation_attention_perf.parquet",
        batch_size=32,
        step=1023,
        num_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        window_size=0,
        kv_cache_dtype="bfloat16",
    )
    assert times.generation_attention(decode_point(32, 1024), llama) == pytest.approx(attention / 1e3, rel=0.02)
    assert neighbouring_kv_heads(3, 9) == ((2, 0.5), (4, 0.5))
    assert neighbouring_kv_heads(12, 12) == ((12, 1.0),)
    with pytest.raises(ValueError, match="got 12 of 24"):
        neighbouring_kv_heads(12, 24)


def times_folder():
    import importlib.util
    from pathlib import Path

    return Path(importlib.util.find_spec("aiconfigurator_core").origin).parent / "systems/data/l40s"


def rows(path, **wanted):
    import pandas as pd

    table = pd.read_parquet(path)
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table["latency"].iloc[0]
