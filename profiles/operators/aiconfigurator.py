"""Operator times of a GPU and a serving framework, from the tables that the package aiconfigurator carries."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from aiconfigurator_core.sdk import common, operations, perf_database
from aiconfigurator_core.sdk.engine import EngineHandle, build_ops_json

from profiles.operators.architecture import Architecture
from profiles.point import Point

MEASURED_KV_HEADS = (1, 2, 4, 8)


def neighbouring_kv_heads(kv_heads: int, heads: int) -> tuple[tuple[int, float], ...]:
    """(kv heads in the tables, weight) whose weighted sum of times stands for `kv_heads`, by linear interpolation.

    Measured numbers, and as many as there are query heads, stand for themselves; above 8 only the latter exist.
    """
    if kv_heads == heads or kv_heads in MEASURED_KV_HEADS:
        return ((kv_heads, 1.0),)
    if kv_heads > MEASURED_KV_HEADS[-1]:
        raise ValueError(f"the tables have {MEASURED_KV_HEADS} kv heads or as many as heads, got {kv_heads} of {heads}")
    above = next(count for count in MEASURED_KV_HEADS if count > kv_heads)
    below = max(count for count in MEASURED_KV_HEADS if count < kv_heads)
    share = (kv_heads - below) / (above - below)
    return ((below, 1 - share), (above, share))


class AiconfiguratorTimes:
    """bfloat16 operator times on `system` under `framework`, interpolated by aiconfigurator's own engine.

    The engine holds attention above the roofline of the datasheet, and its context attention includes rotary
    embedding and the KV write. Implements `profiles.operators.decoder.OperatorTimes`.
    """

    def __init__(self, system: str, framework: str, version: str = "current") -> None:
        database: Any = perf_database.get_database(system, framework, version)
        if database is None:
            raise ValueError(f"aiconfigurator has no data of {framework} {version} on {system}")
        self.version: str = database.version
        self.specification: dict[str, Any] = database.system_spec
        self.engine = EngineHandle.for_database(database)
        self.gemm = lru_cache(maxsize=None)(self._gemm)

    def _gemm(self, tokens: int, width: int, depth: int) -> float:
        operation = operations.GEMM("gemm", 1, width, depth, common.GEMMQuantMode.bfloat16)
        return self._seconds(operation, tokens)

    def repeated_gemm(self, tokens: int, width: int, depth: int, block: int) -> float:
        return self.gemm(tokens, width, depth)  # measured alone

    def grouped_gemm(self, tokens: int, width: int, depth: int, experts: int, per_token: int) -> float:
        raise ValueError(f"a mixture of {experts} experts is not composed of these operators")

    def context_attention(self, point: Point, model: Architecture) -> float:
        return sum(
            weight * self._attention(self._context_operation(kv_heads, model), True, point, point.new)
            for kv_heads, weight in neighbouring_kv_heads(model.kv_heads, model.heads)
        )

    def generation_attention(self, point: Point, model: Architecture) -> float:
        return sum(
            weight * self._attention(self._generation_operation(kv_heads, model), False, point, point.computed)
            for kv_heads, weight in neighbouring_kv_heads(model.kv_heads, model.heads)
        )

    def elementwise(self, tokens: int, read: int, written: int) -> float:
        return self._seconds(operations.ElementWise("elementwise", 1, read, written, 0.8), tokens)

    def softmax(self, scores: int, model: Architecture) -> float:
        return 0.0  # attention has it

    def embedding(self, tokens: int, model: Architecture) -> float:
        return self._seconds(operations.Embedding("embedding", 1, model.vocabulary, model.hidden, 0.3), tokens)

    def _context_operation(self, kv_heads: int, model: Architecture) -> Any:
        cache, kernel = common.KVCacheQuantMode.bfloat16, common.FMHAQuantMode.bfloat16
        return operations.ContextAttention(
            "attention", 1, model.heads, kv_heads, cache, kernel, head_size=model.head_dim
        )

    def _generation_operation(self, kv_heads: int, model: Architecture) -> Any:
        cache = common.KVCacheQuantMode.bfloat16
        return operations.GenerationAttention("attention", 1, model.heads, kv_heads, cache, head_size=model.head_dim)

    def _attention(self, operation: Any, is_context: bool, point: Point, length: int) -> float:
        prefix = point.computed if is_context else 0
        rows = self.engine.evaluate_ops_json(
            build_ops_json([operation]), is_context=is_context, batch_size=point.batch, s=max(1, length), prefix=prefix
        )
        return float(rows[0][1]) / 1e3

    def _seconds(self, operation: Any, tokens: int) -> float:
        rows = self.engine.evaluate_ops_json(build_ops_json([operation]), is_context=True, batch_size=1, s=1, x=tokens)
        return float(rows[0][1]) / 1e3
