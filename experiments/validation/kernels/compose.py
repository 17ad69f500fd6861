"""The simulation of a served run: its device by kernel tables, its engine by the meta.json, each part removable."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from experiments.validation.kernels.served import BLOCK_SIZE, UTILIZATION, Engine, share
from experiments.validation.kernels.tables import KernelTables
from policies.batching.continuous import Continuous
from policies.eviction.recompute import Recompute
from policies.order.fifo import FIFO
from policies.predictor.oracle import OraclePredictor
from policies.routing.least_loaded import LeastLoaded
from profiles.collective import Collective, Exchange, Ring, read_collective
from profiles.experts import Experts
from profiles.kernel_profile import load
from profiles.kernel_tables import UnmeasuredError
from profiles.operators.architecture import Architecture
from profiles.operators.gpus import datasheet
from profiles.operators.huggingface import short_name
from profiles.operators.kv_memory import kv_tokens
from profiles.operators.roofline import ELEMENT_BYTES
from sim import Cluster, Device, HostTime, Policy, simulate
from traces.requests import to_requests

# Engines that recorded theirs, [R] LLMServingSim 0acc21b and 0d3de68: 35,913 and 28,884; computed 36,858 and 28,853.
COMPUTED = "of two engines that recorded theirs it is 2.6 % too much and 0.1 % too little"
SHEET = "a datasheet in profiles/conf/analytic/device, with the driver's name of it in profiles/operators/gpus.py"
# The tables along which a step may lie beyond what was measured; the other coordinates are those of attention.
TABLES_OF = {"tokens": ("dense", "moe"), "sequences": ("per_sequence",), "bytes": ("collective",)}


@dataclass(frozen=True, slots=True)
class Setting:
    """All that a simulation is made of; each part can be taken out (`without`)."""

    tables: KernelTables
    engine: Engine
    model: Architecture
    capacity: int
    capacity_source: str
    block_size: int
    exchange: Exchange | None
    experts: Experts | None
    together: bool
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
        if self.together and self.experts:
            free = replace(self.experts, collective=Ring(math.inf, 0.0))
            parts["exchange of tokens"] = replace(self, experts=free)
            parts["steps together"] = replace(self, together=False)
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


def collective_of(tables: KernelTables, link: Ring | None, use: str) -> tuple[Collective, str]:
    """How long devices take to exchange, and where that is from; ValueError beginning with `use` if nothing says."""
    sheet = datasheet(tables.gpu)
    if link is not None:
        return link, f"{link}, as given"
    if "collective" in tables.paths:
        return read_collective(tables.paths["collective"]), f"measured, {tables.paths['collective']}"
    if sheet is not None and sheet.collective is not None:
        collective = Ring(**sheet.collective)
        return collective, f"{collective} [A], by the datasheet of {sheet.name}"
    raise ValueError(f"{use}: give --link-bandwidth and --link-latency, {tables.prefix}_collective.csv.gz, or {SHEET}")


def exchange_of(tables: KernelTables, model: Architecture, link: Ring | None) -> tuple[Exchange | None, str]:
    """What the devices exchange, and where its times are from; None for one device. ValueError where nothing says."""
    if tables.devices == 1:
        return None, ""
    use = f"{tables.prefix} is of one of {tables.devices} devices, and nothing says how long they take to add up"
    collective, source = collective_of(tables, link, use)
    return Exchange(collective, tables.devices, model.hidden, model.vocabulary, ELEMENT_BYTES[tables.dtype]), source


def capacity_of(
    tables: KernelTables, engine: Engine, model: Architecture, given: Mapping[str, int | None]
) -> tuple[int, int, str]:
    """Tokens of KV, tokens of a block, and where that is from; `given` are kv_blocks and memory_bytes, or None."""
    size = engine.block_size or _block_size(tables)
    if given["kv_blocks"]:
        return given["kv_blocks"] * size, size, "as given"
    if engine.blocks:
        return engine.blocks * size, size, f"the run's own record, {engine.path}"
    sheet = datasheet(tables.gpu)
    memory, source = given["memory_bytes"] or engine.memory_bytes, "stated"
    if memory is None and sheet is not None:
        memory, source = sheet.reported_memory_bytes or sheet.memory_bytes, f"the datasheet of {sheet.name}"
    if memory is None:
        raise ValueError(
            f"nothing says how much KV the engine had: not the run (num_gpu_blocks, device_total_memory_bytes), and "
            f"there is no datasheet of {tables.gpu!r} (gpu of {tables.prefix}_profile.meta.yaml): give --kv-blocks or "
            f"--memory-bytes, or {SHEET}"
        )
    of_tables = f"{tables.prefix}_profile.meta.yaml: gpu_memory_utilization"
    used = engine.utilization or share(of_tables, tables.engine.get("gpu_memory_utilization", UTILIZATION))
    try:
        tokens = kv_tokens(
            model,
            tables.devices,
            memory_bytes=memory,
            utilization=used,
            seats=engine.seats,
            budget=engine.budget,
            block_size=size,
            element_bytes=ELEMENT_BYTES[tables.dtype],
            expert_ranks=engine.ranks,
        )
    except ValueError as error:
        said = f"{engine.path}: gpu_memory_utilization {used:g}" if engine.utilization else f"{of_tables} {used:g}"
        raise ValueError(f"{said}: {error}") from None
    return tokens, size, f"computed: {used:g} of {memory} bytes ({source}) less weights and activations; {COMPUTED}"


def _block_size(tables: KernelTables) -> int:
    """Tokens of a block of the engine that was measured; ValueError unless it is a positive whole number."""
    size = tables.engine.get("block_size", BLOCK_SIZE)
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(f"{tables.prefix}_profile.meta.yaml: block_size must be a positive whole number, got {size!r}")
    return size


def experts_of(
    tables: KernelTables, engine: Engine, model: Architecture, link: Ring | None
) -> tuple[Experts | None, str]:
    """The mixture of each layer of `model`, if it has one, and where the times are from of what its ranks exchange.

    ValueError where nothing says these times, or the table is not of the experts as the run had them shared out.
    """
    if not model.experts:
        return None, ""
    mixture = Experts(tables.paths["moe"], model.experts, model.experts_per_token)
    if engine.expert_parallel and tables.devices > 1:
        raise ValueError(
            f"enable_expert_parallel with tensor_parallel_size {tables.devices}: whole experts lie on each device, and "
            f"{tables.paths['moe']} is of a part of every expert"
        )
    if engine.ranks == 1:
        return mixture, ""
    if not engine.expert_parallel:
        raise ValueError(
            f"data_parallel_size {engine.ranks} without enable_expert_parallel: each rank holds a part of every "
            f"expert, and {tables.paths['moe']} is not of such a part"
        )
    use = f"{engine.ranks} ranks exchange tokens at every layer, and nothing says how long that takes"
    collective, source = collective_of(tables, link, use)
    size = ELEMENT_BYTES[tables.dtype]
    shared = replace(mixture, ranks=engine.ranks, hidden=model.hidden, element_bytes=size, collective=collective)
    return shared, source


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
        experts=setting.experts,
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
        raise ValueError(f"a request has {total} tokens, prompt and answer; {_longest(setting, device)}")
    if total > setting.capacity:
        raise ValueError(
            f"a request has {total} tokens, prompt and answer; there is KV for {setting.capacity}, "
            f"{setting.capacity // setting.block_size} blocks of {setting.block_size} ({setting.capacity_source})"
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
    ranks = tuple(replace(device, name=f"gpu{number}") for number in range(engine.ranks))
    cluster = Cluster(ranks, steps_together=setting.together)
    try:
        tables = simulate(to_requests(asked), policy, cluster, OraclePredictor(), unservable="fail")
    except UnmeasuredError as error:
        paths = setting.tables.paths
        beyond = [str(paths[kind]) for kind in TABLES_OF.get(error.name, ("attention",)) if kind in paths]
        raise ValueError(
            f"{' or '.join(beyond)}: {error}; {engine.path} allows max_num_batched_tokens {engine.budget} and "
            f"max_num_seqs {engine.seats}"
        ) from None
    return pd.DataFrame(tables.requests)


def _longest(setting: Setting, device: Device) -> str:
    """What allows no longer request, and where that is from."""
    longest = device.max_model_len
    if longest == setting.engine.max_model_len:
        return f"{setting.engine.path} allows max_model_len {longest}"
    if longest == setting.model.max_model_len:
        return f"the model allows {longest}"
    return f"{setting.tables.paths['attention']} was measured up to {longest}"
