"""The simulation of a served run: its device by kernel tables, its engine by the meta.json, each part removable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from experiments.validation.kernels.served import BLOCK_SIZE, UTILIZATION, Engine
from experiments.validation.kernels.tables import KernelTables
from policies.batching.continuous import Continuous
from policies.eviction.recompute import Recompute
from policies.order.fifo import FIFO
from policies.predictor.oracle import OraclePredictor
from policies.routing.least_loaded import LeastLoaded
from profiles.collective import Collective, Exchange, Ring, read_collective
from profiles.experts import Experts
from profiles.kernel_profile import load
from profiles.operators.architecture import Architecture
from profiles.operators.gpus import datasheet
from profiles.operators.huggingface import short_name
from profiles.operators.kv_memory import kv_tokens
from profiles.operators.roofline import ELEMENT_BYTES
from sim import Cluster, Device, HostTime, Policy, simulate
from traces.requests import to_requests

# Engines that recorded theirs, [R] LLMServingSim 0acc21b and 0d3de68: 35,913 and 28,884; computed 36,858 and 28,853.
COMPUTED = "of two engines that recorded theirs it is 2.6 % too much and 0.1 % too little"


@dataclass(frozen=True, slots=True)
class Setting:
    """All that a simulation is made of; each part can be taken out (`without`)."""

    tables: KernelTables
    engine: Engine
    model: Architecture
    capacity: int
    block_size: int
    exchange: Exchange | None
    host: HostTime | None

    def without(self) -> dict[str, Setting]:
        """This setting less one part, for each part that it has."""
        engine, parts = self.engine, {}
        if engine.asynchronous:
            parts["planning ahead"] = replace(self, engine=replace(engine, asynchronous=False))
        if "skew" in self.tables.paths:
            even = {kind: path for kind, path in self.tables.paths.items() if kind != "skew"}
            parts["skew"] = replace(self, tables=replace(self.tables, paths=even))
        if self.host:
            parts["host time"] = replace(self, host=None)
        if engine.prefix_caching:
            parts["prefix caching"] = replace(self, engine=replace(engine, prefix_caching=False))
        parts["KV capacity"] = replace(self, capacity=self.block_size * engine.seats * self.model.max_model_len)
        if self.exchange:
            nothing = replace(self.exchange, collective=Ring(math.inf, 0.0))
            parts["all-reduce"] = replace(self, exchange=nothing)
        return parts


def check(tables: KernelTables, engine: Engine, run: Path) -> None:
    """ValueError where the run is not of the model, the dtype or the devices that the tables are of."""
    pairs = {
        "model": (engine.model, tables.model, short_name(engine.model) == short_name(tables.model)),
        "dtype": (engine.dtype, tables.dtype, engine.dtype in ("auto", tables.dtype)),
        "tensor_parallel_size": (engine.devices, tables.devices, engine.devices == tables.devices),
    }
    for name, (served, measured, same) in pairs.items():
        if not same:
            raise ValueError(f"{run} was served with {name} {served}, and {tables.prefix} is of {name} {measured}")


def exchange_of(tables: KernelTables, model: Architecture, link: Ring | None) -> tuple[Exchange | None, str]:
    """What the devices exchange, and where its times are from; None for one device. ValueError where nothing says."""
    if tables.devices == 1:
        return None, ""
    sheet = datasheet(tables.gpu)
    collective: Collective
    if link is not None:
        collective, source = link, f"{link}, as given"
    elif "collective" in tables.paths:
        collective, source = read_collective(tables.paths["collective"]), f"measured, {tables.paths['collective']}"
    elif sheet is not None and sheet.collective is not None:
        collective = Ring(**sheet.collective)
        source = f"{collective} [A], by the datasheet of {sheet.name}"
    else:
        raise ValueError(
            f"{tables.prefix} is of one of {tables.devices} devices, and nothing says how long they take to add up: "
            f"give --link-bandwidth and --link-latency, or {tables.prefix}_collective.csv.gz"
        )
    return Exchange(collective, tables.devices, model.hidden, model.vocabulary, ELEMENT_BYTES[tables.dtype]), source


def capacity_of(
    tables: KernelTables, engine: Engine, model: Architecture, given: Mapping[str, int | None]
) -> tuple[int, int, str]:
    """Tokens of KV, tokens of a block, and where that is from; `given` are kv_blocks and memory_bytes, or None."""
    size = engine.block_size or int(tables.engine.get("block_size", BLOCK_SIZE))
    if given["kv_blocks"]:
        return given["kv_blocks"] * size, size, "as given"
    if engine.blocks:
        return engine.blocks * size, size, "the run's own record"
    sheet = datasheet(tables.gpu)
    memory, source = given["memory_bytes"] or engine.memory_bytes, "stated"
    if memory is None and sheet is not None:
        memory, source = sheet.reported_memory_bytes or sheet.memory_bytes, f"the datasheet of {sheet.name}"
    if memory is None:
        raise ValueError(
            f"nothing says how much KV the engine had: not the run (num_gpu_blocks, device_total_memory_bytes), and "
            f"there is no datasheet of {tables.gpu!r}: give --kv-blocks or --memory-bytes"
        )
    share = engine.utilization or float(tables.engine.get("gpu_memory_utilization", UTILIZATION))
    tokens = kv_tokens(
        model,
        tables.devices,
        memory_bytes=memory,
        utilization=share,
        seats=engine.seats,
        budget=engine.budget,
        block_size=size,
        element_bytes=ELEMENT_BYTES[tables.dtype],
    )
    return tokens, size, f"computed: {share:g} of {memory} bytes ({source}) less weights and activations; {COMPUTED}"


def experts_of(tables: KernelTables, model: Architecture) -> Experts | None:
    """The mixture of each layer of `model`, if it has one."""
    if not model.experts:
        return None
    return Experts(tables.paths["moe"], model.experts, model.experts_per_token)


def device_of(setting: Setting) -> Device:
    """The simulated device; ValueError for a broken table."""
    tables, engine = setting.tables, setting.engine
    rank = setting.model.sharded(tables.devices)
    kv_bytes = rank.kv_bytes_per_token(ELEMENT_BYTES[tables.dtype])
    profile = load(
        attention=tables.paths["attention"],
        dense=tables.paths["dense"],
        per_sequence=tables.paths["per_sequence"],
        skew=tables.paths.get("skew"),
        experts=experts_of(tables, setting.model),
        model=tables.model,
        device=tables.gpu,
        layers=setting.model.layers,
        kv_bytes_per_token=kv_bytes,
        weight_bytes=0,
        memory_bytes=setting.capacity * kv_bytes,  # what is left for KV is known
        memory_utilization=1.0,
        move_bytes_per_second=math.inf,  # a preempted request computes anew: nothing is moved
        source=tables.prefix,
        all_reduce=setting.exchange,
    )
    longest = min(engine.max_model_len or setting.model.max_model_len, profile.max_model_len)
    return Device(
        "gpu",
        "gpu",
        profile,
        kv_tokens=setting.capacity,
        max_model_len=longest,
        block_size=setting.block_size,
        kv_bytes_per_token=kv_bytes,
        prefix_caching=engine.prefix_caching,
        host_time=setting.host,
    )


def simulated(setting: Setting, served: pd.DataFrame) -> pd.DataFrame:
    """What the simulator says of the requests that were `served`; ValueError where the tables say nothing of a step."""
    device, engine = device_of(setting), setting.engine
    total = (served["prompt_tokens"] + served["output_tokens"]).max()
    if total > device.max_model_len:
        raise ValueError(
            f"a request has {total} tokens, prompt and answer; {setting.tables.prefix}_attention.csv.gz and the model "
            f"allow {device.max_model_len}"
        )
    asked = served if engine.ignores_eos else served.drop(columns="max_tokens")
    batching = Continuous(
        max_num_seqs=engine.seats,
        max_num_batched_tokens=engine.budget,
        chunked_prefill=engine.chunked_prefill,
        long_prefill_token_threshold=engine.threshold,
        plans_ahead=int(engine.asynchronous),
    )
    policy = Policy(FIFO(), batching, LeastLoaded(), Recompute())
    tables = simulate(to_requests(asked), policy, Cluster((device,)), OraclePredictor(), unservable="fail")
    return pd.DataFrame(tables.requests)
