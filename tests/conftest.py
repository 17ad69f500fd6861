"""What tests share: a linear profile, policies by parts, and small workloads."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from policies.batching.continuous import Continuous
from policies.eviction.recompute import Recompute
from policies.order.fifo import FIFO
from policies.predictor.oracle import OraclePredictor
from policies.routing.least_loaded import LeastLoaded
from profiles.profile import PROVENANCE
from sim import Device, Line, Policy, Request, Step, Truth
from sim.build import BUILD

ROOT = Path(__file__).parent.parent
opens_the_engine = pytest.mark.skipif(
    BUILD == "compiled", reason="a compiled class cannot be derived from, nor patched"
)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # small networks train slower on more; every core has a test to run


@dataclass(frozen=True)
class LinearProfile:
    """fixed + per_token * new tokens + per_context * decode context + per_moved * moved tokens, seconds."""

    fixed: float = 0.01
    per_token: float = 1e-4
    per_context: float = 0.0
    per_moved: float = 0.0
    uneven: ClassVar[bool] = False

    def step_time(self, step: Step) -> float:
        tokens = step.prefill_tokens + step.decode_jobs
        return (
            self.fixed
            + self.per_token * tokens
            + self.per_context * step.decode_context
            + self.per_moved * step.moved_tokens
        )

    def decode_line(self, jobs: int, context: int, longest: int = 0) -> Line:
        return Line(self.fixed + self.per_token * jobs, self.per_context, math.inf)


def make_device(name: str = "gpu", kind: str = "gpu", **changes) -> Device:
    settings = {"profile": LinearProfile(), "kv_tokens": 1 << 20, "max_model_len": 1 << 16, "block_size": 16}
    return Device(name, kind, **{**settings, **changes})


def make_policy(**changes) -> Policy:
    parts = {"order": FIFO(), "batching": Continuous(), "routing": LeastLoaded(), "eviction": Recompute()}
    return Policy(**{**parts, **changes})


def make_requests(arrivals: Sequence[float], prompts: Sequence[int], outputs: Sequence[int], **more) -> list[Request]:
    return [
        Request(number, float(arrival), int(prompt), Truth(int(output)), **more)
        for number, (arrival, prompt, output) in enumerate(zip(arrivals, prompts, outputs, strict=True))
    ]


def poisson_requests(rate: float, count: int, seed: int, prompt: int = 1, mean_output: float = 50.0) -> list[Request]:
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1 / rate, count))
    outputs = np.maximum(1, np.ceil(rng.exponential(mean_output, count)))
    return make_requests(arrivals, [prompt] * count, outputs)


@pytest.fixture
def oracle() -> OraclePredictor:
    return OraclePredictor()


@pytest.fixture(scope="session")
def const_profiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of profiles: the model `const` on `dev` and `cpu`, whose every step takes 10 ms, a token's KV 1 kB."""
    folder = tmp_path_factory.mktemp("profiles")
    curve = {"knots": [1, 65536], "base": [0.01] * 2, "slope": [0.0] * 2, "max_context": 100_000, "extrapolation": 1.25}
    facts = {"kv_bytes_per_token": 1000, "move_bytes_per_second": 1e9, "kv_capacity_tokens": 100_000}
    made = dict.fromkeys(PROVENANCE, "made")
    for device in ("dev", "cpu"):
        path = folder / "const" / f"{device}.json"
        path.parent.mkdir(exist_ok=True)
        profile = {"schema_version": 1, "model": "const", "device": device, "kind": "analytic", "max_model_len": 4096}
        timed = {"prefill": curve, "decode": curve, "fixed_seconds": 0.01, "provenance": made}
        path.write_text(json.dumps({**profile, **timed, **facts}))
    return folder


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data that developers have; the test is skipped where it is not."""
    for place in (os.environ.get("TOKENYARD_DATA"), ROOT.parent / "shared" / "data"):
        if place and Path(place).is_dir():
            return Path(place)
    return pytest.skip("no public data: TOKENYARD_DATA is not set and there is no ../shared/data")


@pytest.fixture(autouse=True)
def _own_systems():
    """The systems of a plug-in are those of its test alone, and what a command that was read says to its workers."""
    yield
    os.environ.pop("TOKENYARD_KEEP_ROWS", None)
    if "experiments.conf" in sys.modules:
        sys.modules["experiments.conf"].name_systems()
