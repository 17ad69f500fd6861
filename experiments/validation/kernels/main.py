"""Compare a run that a real engine served with its simulation by kernel times measured on that device.

    tokenyard validate kernels TABLES RUN
    tokenyard validate kernels measured/h100_llama-3.1-8b measured/run.jsonl.gz
    tokenyard validate kernels measured/h100_qwen3-32b_tp2 run.jsonl --link-bandwidth 200 --link-latency 6

TABLES is what the paths of the kernel tables begin with, csv files plain or gzipped, in the format of LLMServingSim's
profiler:
  TABLES_profile.meta.yaml        gpu, model, variant, tp_degrees
  TABLES_attention.csv.gz         a layer's attention, by prompt chunk, decoding requests and their contexts
  TABLES_dense.csv.gz             the other kernels of a layer, embedding and last norm, by tokens
  TABLES_per_sequence.csv.gz      lm_head and sampler, by sequences
  TABLES_skew.csv.gz              optional: attention of uneven batches, which without it count as even ones
  TABLES_moe.csv.gz               a layer's experts; needed by a mixture of experts, and only by one
  TABLES_collective.csv.gz        optional: exchanges among several devices (below)
_tpN in their names says that they are of one of N devices that share the model. RUN is a jsonl,
plain or gzipped, as LLMServingSim's benchmark writes it; RUN.meta.json, or meta.json beside it, says how vLLM was
started: model, dtype, seats (max_num_seqs), token budget (max_num_batched_tokens), devices, prefix caching, KV blocks.
Needed are model, vllm_version, max_num_seqs and max_num_batched_tokens, for vLLM's defaults of the latter two depend on
the device; what else it does not say is vLLM's default, and is told (a missing dtype is that of the tables). What
changes the kernels and is not simulated (quantization, speculation, LoRA, offloading, a quantized KV cache) is refused;
a setting of engine_kwargs that is not understood is left aside, and told. No number is fitted to the run.

Each data-parallel rank is such a device, with seats, token budget and blocks of its own. Where they hold shares of the
experts (enable_expert_parallel) they step together, and exchange their tokens twice a layer.

Several devices exchange their parts twice a layer. How long that takes is in TABLES_collective.csv.gz (layer, bytes,
time_us, with layer all_reduce or all_gather), in the device's datasheet (profiles/conf/analytic/device), or said here.

Prints mean, P50, P90 and P99 of TTFT, TPOT and E2E, measured and simulated, and the means' errors with each part of the
simulation taken out. Writes report.txt, report.jsonl and a picture of the distributions. What is missing or does not
belong together is one line, and the exit status is 1. Marks of facts: [A] assumed, [R] read in the source that is
named, [D] derived.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments.validation.kernels import report
from experiments.validation.kernels.compose import Setting, capacity_of, check, exchange_of, experts_of, simulated
from experiments.validation.kernels.served import Engine, meta_path, read_engine, read_meta
from experiments.validation.kernels.tables import KernelTables, read_tables
from profiles.collective import Ring
from profiles.operators.architecture import Architecture
from profiles.operators.huggingface import from_config, known
from sim import HostTime
from traces.formats.llmservingsim import load
from traces.schema import MEASURED, SKIPPING, TraceError

MICROSECOND, GIGABYTE = 1e-6, 1e9


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="tokenyard validate kernels", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", metavar="TABLES", help="what the paths of the kernel tables begin with")
    parser.add_argument("run", metavar="RUN", type=Path, help="the served requests, jsonl or jsonl.gz")
    parser.add_argument("--meta", metavar="FILE", help="the run's meta.json, where it is not beside it")
    parser.add_argument("--config", metavar="FILE", type=Path, help="config.json of a model that is not known here")
    parser.add_argument("--kv-blocks", metavar="N", type=_count, help="KV blocks of the engine")
    parser.add_argument("--memory-bytes", metavar="N", type=_count, help="memory that the driver reports, bytes")
    parser.add_argument("--link-bandwidth", metavar="GB/S", type=_number, help="of a device to the next, one direction")
    parser.add_argument("--link-latency", metavar="US", type=_number, help="of each exchange between them")
    parser.add_argument("--host-step", metavar="US", type=_number, help="of the host, a step; without it none")
    parser.add_argument("--host-request", metavar="US", type=_number, help="of the host, a request in a step, as well")
    parser.add_argument("--results", metavar="FOLDER", type=Path, help="default: results/validate/RUN's name")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line instead of tables")
    asked = parser.parse_args(given)
    if (asked.link_bandwidth is None) != (asked.link_latency is None):
        parser.error("--link-bandwidth and --link-latency go together")
    return asked


def compose(asked: argparse.Namespace) -> tuple[Setting, list[str]]:
    """What the files and the command line say, and lines that tell where from."""
    tables = read_tables(asked.tables)
    meta = read_meta(meta_path(asked.run, asked.meta))
    engine = read_engine(meta)
    check(tables, engine, asked.run)
    model = model_of(tables, asked.config)
    tables.check(model)
    link = None
    if asked.link_bandwidth is not None:
        link = Ring(asked.link_bandwidth * GIGABYTE, asked.link_latency * MICROSECOND)
    exchange, exchanged = exchange_of(tables, model, link)
    experts, shared = experts_of(tables, engine, model, link)
    given = {"kv_blocks": asked.kv_blocks, "memory_bytes": asked.memory_bytes}
    capacity, block_size, source = capacity_of(tables, engine, model, given)
    several = engine.ranks > 1
    version = ".".join(map(str, engine.version))
    facts = [
        f"{tables.model} in {tables.dtype} on {tables.label}; run of vLLM {version}: {asked.run.name}",
        f"{engine.seats} seats, {engine.budget} tokens a step, scheduling "
        f"{'asynchronous' if engine.asynchronous else 'synchronous'}, prefix caching "
        f"{'on' if engine.prefix_caching else 'off'}",
        f"KV: {capacity // block_size} blocks of {block_size} tokens{' on each rank' * several} ({source})",
        *([f"{1 + 2 * model.layers} all-reduces a step among {exchange.devices}: {exchanged}"] if exchange else []),
        *([f"{engine.ranks} data-parallel ranks; a request goes to the one with the fewest [A]"] if several else []),
    ]
    if shared:
        facts.append(f"{model.experts // engine.ranks} experts on each, {2 * model.layers} exchanges a step: {shared}")
    facts += engine.assumed
    host = None
    if asked.host_step or asked.host_request:
        host = HostTime((asked.host_step or 0.0) * MICROSECOND, (asked.host_request or 0.0) * MICROSECOND)
        facts.append(f"host: {asked.host_step or 0:g} us a step, {asked.host_request or 0:g} us a request, as given")
    uneven = "uneven batches by their table"
    facts.append(
        uneven if "skew" in tables.paths else f"no {tables.prefix}_skew.csv.gz: uneven batches count as even ones"
    )
    return Setting(tables, engine, model, capacity, source, block_size, exchange, experts, bool(shared), host), facts


def model_of(tables: KernelTables, config: Path | None) -> Architecture:
    """The sizes of the model that the tables are of; ValueError where nothing says them."""
    if config is not None:
        try:
            return from_config(json.loads(config.read_text(encoding="utf-8")), str(config))
        except json.JSONDecodeError as error:
            raise ValueError(f"{config}: no json: {error}") from error
    found = known(tables.model)
    if found is None:
        raise ValueError(f"the sizes of {tables.model} are not known here: give its config.json with --config")
    return found


def served(run: Path, engine: Engine) -> pd.DataFrame:
    """The measured requests, as `experiments.validation.errors` takes them.

    ValueError for bad rows, and unless there are as many as the meta.json of their `engine` says.
    """
    if not run.is_file():
        raise FileNotFoundError(f"no run {run}")
    try:
        table = load(run)
    except TraceError as error:  # no row can be left out here
        raise ValueError(str(error).replace(f"; {SKIPPING}", "")) from None
    if engine.requests not in (None, len(table)):
        raise ValueError(f"{run} has {len(table)} requests, and {engine.path} says num_requests {engine.requests}")
    names = dict(zip(MEASURED, ("first_scheduled", "first_token", "finished"), strict=True))
    return table.rename(columns=names).assign(id=range(len(table)))


def main(given: Sequence[str] | None = None) -> int:
    """The command line; what is wrong is said in one line."""
    asked = arguments(given)
    try:
        setting, facts = compose(asked)
        real = served(asked.run, setting.engine)
        whole = simulated(setting, real)
        less = {part: simulated(other, real) for part, other in setting.without().items()}
        name = asked.run.name.partition(".jsonl")[0]
        report.write(asked.results or Path("results/validate") / name, facts, real, whole, less, as_json=asked.json)
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        print(f"tokenyard validate kernels: {error}", file=sys.stderr)
        return 1
    return 0


def _number(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a positive number, got {text!r}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a positive whole number, got {text!r}")
    return value
