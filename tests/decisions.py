"""What every policy, system and part decides on 40 requests in a short memory: `python tests/decisions.py`.

tests/golden/policies.json has a line for each: a digest of its decisions (replica, tokens granted, preempted; for each
step, in order) and six metrics. This writes the file anew and prints, entry by entry, what differs: for review. The
trace is tests/golden/requests.csv: 60 rows to fit predictors to, 40 that are replayed. Each eviction has another, of
the same requests where some call out: tests/golden/calls.csv.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":  # run as a file: imports begin at the root, for the folders here bear the packages' names
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from tqdm import tqdm

from sim import Tables
from tests.conftest import ROOT
from tests.door import CONF, decide, options

GOLDEN = ROOT / "tests" / "golden" / "policies.json"
METRICS = ("response_time_mean", "response_time_p99", "ttft_mean", "throughput_tokens_overall", "scheduling_share")
COLUMNS = (
    "arrival", "prompt_tokens", "output_tokens", "max_tokens", "priority", "deadline", "prompt_ids",
    "task", "structural", "syntactic", "semantic", "vague", "open_ended", "multi_part",
)  # fmt: skip
TRACE = [
    "trace=csv", f"trace.path={ROOT / 'tests' / 'golden' / 'requests.csv'}", "trace.id_tokens=16",
    "trace.training_share=0.6", "warmup=0", *(f"++trace.columns.{name}={name}" for name in COLUMNS),
]  # fmt: skip

CALLS = [
    "predictor=calls_known", f"trace.path={ROOT / 'tests' / 'golden' / 'calls.csv'}", "++trace.columns.pauses=pauses",
]  # fmt: skip


def short(*devices: str) -> list[str]:
    """Memories of 30 blocks: three requests of the trace may need more."""
    return [f"cluster.devices.{name}.{size}" for name in devices for size in ("kv_tokens=480", "max_model_len=320")]


CONTINUOUS = ("policy=fifo", "policy/batching=continuous")
CHUNKS = ("policy.batching.max_num_batched_tokens=12", "++policy.batching.long_prefill_token_threshold=4")
PLAIN = short("gpu", "cpu")
TWO_GPUS = ("cluster.devices.gpu.count=2", *PLAIN)
GUARDED = ("policy/order=sjf", "policy.batching.multiple=2")
SEATED = ("policy/batching=fastserve", "policy.batching.max_num_seqs=4", *PLAIN)
FAMILY = ("cluster=opt_family", *short("small", "medium", "large"))
BEST_EFFORT = ("reward=best_effort", *FAMILY)
RULES = {
    "": "learned", "_threshold": "threshold", "_threshold_by_task": "threshold_by_task", "_rate": "by_rate",
    "_greedy": "by_deadline",
}  # fmt: skip
ROUTED = {
    "of_model": (),
    "any_model": (),
    "learned": (),
    "threshold": ("policy.routing.limits=[4,6]",),
    "threshold_by_task": ("policy.routing.limits=[4,6]", "policy.routing.of_task={hellaswag:[2,9],copa:[9,2]}"),
    "by_rate": ("policy.routing.rates=[20,60]", "policy.routing.seconds=0.2"),
    "by_deadline": ("reward.hard=0.8",),
}
SEATS = ("policy/batching=exchange", "policy.batching.max_num_seqs=4")
MORE = {  # what a part needs to have something to decide
    "policy/batching=continuous": (*CHUNKS, *PLAIN),
    "policy/batching=preemptive": ("policy/order=srpt", "policy.batching.max_num_seqs=4", *PLAIN),
    "policy/batching=ltr": ("policy/order=srpt", "policy.batching.max_num_batched_tokens=12", *PLAIN),
    "policy/batching=limited": (
        "policy/order=srpt", "policy.batching.max_num_seqs=4", "policy.batching.share=0.3", *PLAIN,
    ),
    "policy/batching=until_shortest": ("policy/order=sjf", "policy.batching.batch_size=4", *PLAIN),
    "policy/batching=guarded_continuous": (*GUARDED, "policy.batching.batching.max_num_seqs=4", *PLAIN),
    "policy/batching=guarded_static": (*GUARDED, "policy.batching.batching.batch_size=4", *PLAIN),
    "policy/batching=guarded_until_shortest": (*GUARDED, "policy.batching.batching.batch_size=4", *PLAIN),
    "policy/batching=trail": (
        "policy/order=srpt", "policy.batching.max_num_seqs=4", "policy.batching.share=0.5", "policy.batching.margin=2",
        *PLAIN,
    ),
    "policy/order=trail_released": ("policy/batching=trail", "policy.batching.max_num_seqs=12", *PLAIN),
    "policy=trail": ("policy.batching.max_num_seqs=4", *PLAIN),
    "policy=trail_released": ("policy.batching.max_num_seqs=4", *PLAIN),
    **{
        f"system={name}": ("policy.batching.max_num_seqs=4", *PLAIN)
        for name in ("trail", "trail_released", "trail_oracle", "trail_prompt")
    },
    "policy/order=ltr": (
        "policy/batching=ltr", "policy/eviction=keep_then_swap", "policy.order.starvation=40",
        "policy.batching.max_num_batched_tokens=12", *PLAIN,
    ),
    "policy/order=perception": ("policy/batching=ltr", "policy.batching.max_num_batched_tokens=12", *PLAIN),
    **{
        f"{group}={name}": ("policy.batching.max_num_batched_tokens=12", *PLAIN)
        for name in ("ltr", "ltr_fcfs", "ltr_mlfq", "ltr_po", "ltr_class", "ltr_oracle")
        for group in ("policy", "system")
    },
    "policy/order=least_attained": ("policy/batching=preemptive", "policy.batching.max_num_seqs=4", *PLAIN),
    "policy/order=mlfq": ("policy/batching=preemptive", "policy.batching.max_num_seqs=4", *PLAIN),
    **{
        f"policy/order={order}": ("policy.order.quantum=1.0e-3", *SEATED)
        for order in ("skip_join", "skip_join_released", "skip_join_flawed")
    },
    "policy/batching=fastserve": SEATED,
    **{
        f"system={name}": ("policy.order.quantum=1.0e-3", "policy.batching.max_num_seqs=4", *PLAIN)
        for name in ("fastserve", "fastserve_mlfq", "fastserve_reactive", "fastserve_released", "fastserve_flawed")
    },
    "policy/eviction=reserve": ("policy/order=skip_join_released", "policy.eviction.seats=4", *SEATED),
    "policy/eviction=proactive": ("policy/order=skip_join", "policy.eviction.seats=4", *SEATED),
    "policy/eviction=keep": (
        "policy/order=srpt", "policy/batching=preemptive", "policy.batching.max_num_seqs=6", *PLAIN,
    ),
    "policy/eviction=keep_then_swap": (
        "policy/order=srpt", "policy/batching=ltr", "policy.batching.max_num_seqs=6", *PLAIN,
    ),
    "policy/eviction=waiting_time": (
        "policy/order=srpt", "policy/batching=preemptive", "policy.batching.max_num_seqs=6",
        "policy.eviction.reserve=0.2", *PLAIN,
    ),
    "policy/batching=alise": ("policy/order=srpt", *PLAIN),
    "policy/order=alise": (
        "policy/batching=preemptive", "policy.batching.max_num_seqs=4", "policy.order.patience=1.0",
        "policy.order.quantum=0.01", *PLAIN,
    ),
    **{
        f"{group}={name}": setting
        for group in ("policy/order", "policy", "system")
        for name, setting in (
            ("tie", ("policy.order.period=0.05", *PLAIN)),
            ("boost", ("policy.order.gamma=30", *PLAIN)),
            ("uniboost", ("policy.order.gamma=30", *SEATS, *PLAIN)),
        )
    },
    "policy/batching=exchange": ("policy/order=srpt", "policy.batching.max_num_seqs=4", *PLAIN),
    "policy/batching=sarathi": (*CHUNKS, *PLAIN),
    "policy/routing=round_robin": TWO_GPUS,
    "policy/routing=gpu": TWO_GPUS,
    "policy/routing=power_of_two": ("cluster.devices.gpu.count=3", *PLAIN),
    "policy/routing=prefix_affinity": ("cluster.devices.gpu.prefix_caching=true", *TWO_GPUS),
    "policy/routing=disaggregation": ("cluster=prefill_decode", *short("prefill", "decode")),
    **{f"policy/routing={name}": (*BEST_EFFORT, *more) for name, more in ROUTED.items() if name != "threshold_by_task"},
    **{
        f"{group}=best_effort{name}": (*BEST_EFFORT, *ROUTED[routing])
        for name, routing in RULES.items()
        for group in ("policy", "system")
    },
    **{f"system=static_{name}": FAMILY for name in ("small", "medium", "large", "large_two")},
}  # fmt: skip


def entries() -> dict[str, list[str]]:
    """The overrides of each entry: a policy and a system as they are, a part under FIFO in continuous batches."""
    found = {choice: [choice, *MORE.get(choice, PLAIN)] for group in ("policy", "system") for choice in options(group)}
    for folder in sorted(path.name for path in Path(CONF, "policy").iterdir() if path.is_dir()):
        for choice in options(f"policy/{folder}"):
            chosen = [choice, *MORE.get(choice, PLAIN)]
            groups = {one.split("=")[0] for one in chosen}
            found[choice] = [*(one for one in CONTINUOUS if one.split("=")[0] not in groups), *chosen]
    told = {choice: [*overrides, *TRACE] for choice, overrides in found.items()}
    of_calls = options("policy/eviction")
    return told | {f"calls, {choice}": [*told[choice], *CALLS] for choice in of_calls}


def outcome(overrides: list[str]) -> dict[str, object]:
    """The digest of the decisions that a run takes, how many steps they are, and its six metrics (NaN: None)."""
    metrics, tables = decide(*overrides)
    return {
        "decisions": digest(tables),
        "steps": len(tables.decisions),
        "preemptions": int(tables.requests["preemptions"].sum()),
        **{name: None if math.isnan(metrics[name]) else metrics[name] for name in METRICS},
    }


def digest(tables: Tables) -> str:
    """The sha256 of who got how many tokens where, and who was preempted, in every step; instants show in metrics."""
    text = hashlib.sha256()
    for one in tables.decisions:
        tokens = " ".join(f"{request}:{count}" for request, count in one.granted)
        text.update(f"{one.replica} {tokens} - {' '.join(map(str, one.preempted))}\n".encode())
    return text.hexdigest()[:16]


def differences(old: dict[str, dict[str, object]], new: dict[str, dict[str, object]]) -> Iterator[str]:
    """A line for each entry that is new, gone or different, with what differs of it."""
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield f"gone: {name}"
        elif name not in old:
            yield f"new: {name}: {new[name]}"
        elif old[name] != new[name]:
            keys = [key for key in old[name] | new[name] if old[name].get(key) != new[name].get(key)]
            yield f"{name}: " + ", ".join(f"{key} {old[name].get(key)} -> {new[name].get(key)}" for key in keys)


def read() -> dict[str, dict[str, object]]:
    """The stored entries, by name."""
    return json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}


def main() -> None:
    """Write the file anew, and say what differs from what it was."""
    old = read()
    new = {name: outcome(overrides) for name, overrides in tqdm(sorted(entries().items()), unit="run", disable=None)}
    changed = [*differences(old, new)]
    GOLDEN.write_text("{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(new[name])}" for name in new) + "\n}\n")
    print(*changed, sep="\n", end="\n" * bool(changed))
    print(f"{GOLDEN.name}: {len(new)} entries, {len(changed)} of them differ from what was there")


if __name__ == "__main__":
    main()
