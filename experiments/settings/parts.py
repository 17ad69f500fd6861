"""The parts of a configuration, built before anything runs, so that what they refuse is said at once."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from experiments.settings.reached import DEVICE, OPTIONAL
from experiments.settings.signatures import mismatch
from experiments.settings.wording import did_you_mean, one_line, shown
from policies.contract import ContractError, check_order
from sim import (
    Batching,
    IterationLevel,
    Order,
    Overhead,
    Phases,
    Policy,
    Predictor,
    RequestLevel,
)
from traces.locate import public_file
from traces.schema import TraceError

FEW = 64  # requests, or training rows, of a trace that is drawn to see which columns it has
SMALL = 30_000_000  # bytes: a file up to this size is read to see them
Named = Callable[[str], str]


class RefusedError(ValueError):
    """A part refused its settings: `path` is where the part stands."""

    def __init__(self, path: str, message: str) -> None:
        self.path = path
        super().__init__(message)


@lru_cache(maxsize=512)
def built(path: str, text: str) -> Any:
    """The part at `path`, whose settings are the JSON `text`; RefusedError says which part of it refused what."""
    node = json.loads(text)
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        where = re.search(r"full_key: (\S+)", str(error))
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise RefusedError(f"{path}.{_inside(node, where[1])}" if where else path, said(cause)) from error
    except Exception as error:
        raise RefusedError(path, said(error)) from error


def _inside(node: Any, key: str) -> str:
    """Hydra's `full_key`, which has a list's index without a dot, as a dotted key."""
    found = []
    for name in key.split("."):
        index = re.fullmatch(r"(.*?)\[?(\d+)\]?", name)
        if index and isinstance(node, dict) and name not in node:
            found += [one for one in index.groups() if one]
        else:
            found.append(name)
        node = node.get(name) if isinstance(node, dict) else None
    return ".".join(found)


def said(error: BaseException) -> str:
    """What `error` says, in one line; errors that only name a value also say what they are."""
    text = one_line(error)
    return text if isinstance(error, ValueError | OSError) and text else f"{type(error).__name__}: {text}"


def refusal(error: RefusedError, node: Mapping[str, Any], named: Named) -> str:
    """The line for a refused part with the settings `node`, one of which its message names."""
    message = str(error)
    fields = [key for key in node if not str(key).startswith("_")]
    words = re.findall(r"\w+", message)
    field = next((word for word in words if word in fields), None)
    if field is None:
        return f"{named(error.path)}: {message}"
    return f"{named(f'{error.path}.{field}')}: {message}"


def policy_problems(policy: Policy, node: Mapping[str, Any]) -> Iterator[str]:
    """A line for each slot of a policy that holds something else."""
    if not isinstance(policy, Policy):
        yield f"policy._target_={shown(node.get('_target_'))} must make a sim.Policy"
        return
    kinds = {slot: getattr(node.get(slot), "get", lambda _: None)("_target_") for slot in node}
    if not isinstance(policy.order, Order):
        yield f"policy.order={shown(kinds.get('order'))} is no order: it must derive from sim.Order"
    else:
        try:
            check_order(policy.order)
        except ContractError as error:
            yield f"policy.order={shown(kinds.get('order'))}: {error}"
        except Exception:  # it may look at what only a trace has
            pass
    for slot, method in {"batching": "select", "routing": "route", "eviction": "on_stop"}.items():
        if not callable(getattr(getattr(policy, slot), method, None)):
            yield f"policy.{slot}={shown(kinds.get(slot))} is no {slot}: it has no method {method}"
    yield from batching_problems(policy.batching, f"policy.batching={shown(kinds.get('batching'))}")
    if not isinstance(policy.overhead, Overhead):
        yield f"policy.overhead={shown(node.get('overhead'))} must be a sim.Overhead"


def batching_problems(batching: Any, called: str) -> Iterator[str]:
    """What is wrong with how a batching runs what it selects."""
    try:
        execution = batching.execution
    except Exception as error:
        yield f"{called} cannot say its execution: {said(error)}"
        return
    if not isinstance(execution, IterationLevel | RequestLevel):
        yield f"{called} must have a sim.IterationLevel or a sim.RequestLevel as its execution, and has {execution!r}"
    names = type(batching).victim is not Batching.victim if isinstance(batching, Batching) else False
    if names and isinstance(execution, IterationLevel) and execution.phases is not Phases.MIXED:
        yield f"{called} names victims, which needs phases=mixed, got phases={execution.phases.value}"


@dataclass(frozen=True, slots=True)
class Columns:
    """What the rows of a trace hold; `sure` unless nobody could tell without a run, with what reading it said wrong."""

    names: frozenset[str]
    sure: bool
    problem: str = ""


@lru_cache(maxsize=128)
def columns(text: str) -> Columns:
    """The columns of the trace in a JSON text: drawn from a few requests, or from a file that is small."""
    node = json.loads(text)
    files = list(_files(node))
    try:
        found = [public_file(name) for name in files]
    except OSError as error:
        return Columns(frozenset(), False, one_line(error))
    if str(node.get("_target_", "")).startswith("traces.castillo."):
        return Columns(frozenset(), False)  # scoring its texts takes long, and it has them
    if sum(path.stat().st_size for path in found) > SMALL:
        return Columns(frozenset(), False)
    few, changed = _few(node)
    streams = (np.random.default_rng(0), np.random.default_rng(1))
    try:
        table = instantiate(few, _convert_="all").replay(*streams)
    except (ValueError, OSError) as error:
        of_file = isinstance(error, TraceError | OSError)  # others may come of there being few requests
        return Columns(frozenset(), False, one_line(error) if of_file or not changed else "")
    except Exception:
        return Columns(frozenset(), False)
    if not isinstance(table, pd.DataFrame):
        return Columns(frozenset(), False)
    return Columns(frozenset(map(str, table.columns)), True)


def _files(node: Any) -> Iterator[str]:
    """The files that a trace reads: its own path, and those of CASTILLO and ServeGen."""
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if isinstance(node, dict):
        for key in ("path", "prompts", "lengths", "rates", "quantiles"):
            own = node.get("_target_") != "hydra.utils.get_method"
            if own and isinstance(node.get(key), str) and Path(node[key]).suffix:
                yield node[key]
    for one in inner:
        yield from _files(one)


def _few(node: Any) -> tuple[Any, bool]:
    """The trace with fewer requests, where it draws them; whether that changed anything."""
    if isinstance(node, list):
        pairs = [_few(one) for one in node]
        return [one for one, _ in pairs], any(changed for _, changed in pairs)
    if not isinstance(node, dict):
        return node, False
    made, changed = {}, False
    for key, value in node.items():
        few = min(value, max(FEW, node.get("clients") or 0)) if key == "requests" and isinstance(value, int) else value
        if key == "training_requests" and isinstance(value, int):
            few = min(value, FEW)
        made[key], inner = _few(few)
        changed = changed or inner or few != value
    return made, changed


def is_predictor(part: Any) -> bool:
    """Whether a configured predictor can predict, at once or once it is fitted."""
    return isinstance(part, functools.partial | Predictor)


def device_problems(name: str, entry: Any, named: Named) -> Iterator[str]:
    """A line for each thing wrong with the settings of one device entry, its parts aside."""
    path = f"cluster.devices.{name}"
    if not isinstance(entry, dict):
        yield f"{named(path)} must be a mapping: {', '.join(DEVICE)}"
        return
    for key in DEVICE:
        if key not in entry and key not in OPTIONAL:
            yield f"{path}.{key} is missing"
    for key in entry:
        if key not in DEVICE:
            yield f"{named(f'{path}.{key}')}: a device has {', '.join(DEVICE)}{did_you_mean(str(key), DEVICE)}"
    for key, (least, most, unit, null) in WHOLE.items():
        value: Any = entry.get(key)
        if key not in entry or (value is None and null):
            continue
        if (wrong := mismatch(value, int)) or not least <= value <= most:
            problem = wrong or "must be a whole number"
            said = named(f"{path}.{key}")
            yield f"{said} {problem}, from {least:,} to {most:,} {unit}{', or null' if null else ''}"
    if not isinstance(entry.get("kind", ""), str):
        yield f"{named(f'{path}.kind')} must be text, as gpu or cpu"
    if not isinstance(entry.get("prefix_caching", False), bool):
        yield f"{named(f'{path}.prefix_caching')} must be true or false"
    tokens, block = entry.get("kv_tokens"), entry.get("block_size")
    if isinstance(tokens, int) and isinstance(block, int) and 0 < tokens < block:
        yield f"{named(f'{path}.kv_tokens')} is less than one block of block_size={block} tokens: nothing fits"


def at(plain: Any, path: str) -> Any:
    """What stands at the dotted `path`, or None."""
    node = plain
    for part in path.split("."):
        if isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, dict):
            node = node.get(part, node.get(int(part)) if part.isdigit() else None)
        else:
            return None
    return node


WHOLE = {  # least, most, unit, and whether null means something
    "count": (0, 1000, "devices", False),
    "kv_tokens": (1, 10_000_000_000, "tokens", True),
    "max_model_len": (2, 1_000_000_000, "tokens", True),
    "block_size": (1, 1_000_000, "tokens", False),
}
