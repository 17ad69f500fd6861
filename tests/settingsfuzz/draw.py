"""Random mixtures of settings over all groups: sound ones, and ones that were spoilt in a way that has a name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

from traces.formats.parquet import write

CONF = Path(__file__).parent.parent.parent / "experiments" / "conf"
POLICIES = ("consolidation", "fifo", "hpf", "luf", "muf", "offload", "rtlm", "sjf", "up", "up_consolidation")
PARTS = {
    "order": ("aging", "fifo", "hpf", "luf", "muf", "sjf", "srpt", "up"),
    "batching": ("consolidation", "continuous", "orca", "sarathi", "static", "vllm_v0"),
    "routing": ("gpu", "offload", "power_of_two", "round_robin"),
    "eviction": ("recompute", "swap"),
}
PREEMPTING = ("continuous", "sarathi", "vllm_v0")  # with others nobody's KV is ever swapped
SYSTEMS = ("consolidation", "fifo", "hpf", "luf", "muf", "offload", "rtlm", "rtlm_recalled", "sjf_oracle", "up")
ANY_TRACE = (
    "constant", "constant_given", "noise_additive", "noise_adversarial", "noise_multiplicative", "oracle",
    "prompt_length", "shuffled", "ssjf_confusion", "trail",
)  # fmt: skip
WITH_TEXT = ("rules", "single_rule", "weighted_rules", "tfidf")  # of those that are fitted in no time
TINY = ("trace.requests=12", "trace.training_requests=60")
TRACES = {  # option -> (the settings that make it tiny, whether it has text)
    "dialogue": (("trace.rate=20", *TINY), True),
    "short_dialogue": (("trace.rate=20", *TINY), True),
    "rtlm_variance": (("trace.rate=20", *TINY), True),
    "recorded": (("trace.requests=12",), True),
    "poisson": (("trace.rate=20", *TINY), False),
    "gamma": (("trace.rate=20", *TINY), False),
    "mmpp": (("trace.rate=20", *TINY), False),
    "sinusoid": (("trace.rate=20", *TINY), False),
    "clients": (("trace.rate=20", *TINY), False),
    "closed_loop": (("trace.clients=3", *TINY), False),
    "multi_turn": (("trace.rate=20", *TINY), False),
    "parquet": ((), False),
}
NUMBERS = {  # settings of the run, and values that they may have
    "warmup": ("0", "0.0", "0.1", "0.5"),
    "horizon": ("null", "1000", "30.0"),
    "record": ("requests", "steps"),
    "audit": ("true", "false"),
    "leap": ("true", "false"),
    "seed": ("0", "7", "[0,1]", "4294967295"),
    "name": ("fuzz", "20261128", "a/b", "1.50", "n-1", "true_name"),
    "cluster.devices.gpu.kv_tokens": ("20000", "100000", "null"),
    "cluster.devices.gpu.block_size": ("1", "16", "32"),
    "cluster.devices.gpu.count": ("1", "2", "3"),
    "policy.overhead.rank_seconds": ("0", "0.0", "1.0e-6"),
    "unservable": ("reject",),
    "resample": ("null",),
}
WILD = (
    "-1", "0", "1.5", "1e9", "1e3", "1.0", "nan", "inf", "-inf", "abc", "true", "null", "''", "[1,2]", "[]",
    "{a:1}", "{}",
    "1e-300", "1e300", "99999999999999999999", "-0.0", "'${seed}'", "'${nothing}'", "'${oc.env:NO_SUCH}'", "'???'",
    "1,2", "'1,2'", "range(3)", "'a b'", "../../x", "/etc/passwd", "maybe", "yes", "[null]", "'\\n'",
    "é", "2026-11-28",
    "0x10", "1_000", "1e", "[1", "{_target_:os.system}", "a" * 300,
)  # fmt: skip
ADDED = (
    "+foo.bar=1",
    "+slo.ttft_p99=1",
    "+cluster.devices.tpu.kind=tpu",
    "+policy.order.weigt=1",
    "+a=2",
    "+trace.x=[1]",
)
DAMAGE = ("typo", "option", "wild", "near", "added", "taken", "twice", "contrary", "grammar", "flag")
CONTRARY = (
    ("load=0.5", "trace.rate=9"), ("model=gpt2", "cluster=llama_8b"), ("calibration.kappa=3",),
    ("calibration.malicious_quantile=0.5", "policy=fifo"), ("system=sjf_oracle", "predictor=rules"),
    ("policy/routing=prefix_affinity",), ("policy/routing=disaggregation",),
    ("policy/order=priority",),
    ("cluster.devices.gpu.prefix_caching=true",), ("system=fifo", "policy=sjf"),
    ("cluster.devices.cpu.count=0",),
    ("cluster.link={_target_:sim.Link,latency:1,bytes_per_second:1}",), ("predictor=history",),
    ("policy.order.alpha=2",),
    ("cluster=llama_8b", "cluster.devices.cpu.profile.device=cpu"), ("load=0.9",),
    ("trace.training_seed=3", "system=fifo"),
    ("calibration.tau=5", "calibration.malicious_quantile=0.9", "policy=rtlm"),
    ("experiment=demo",), ("horizon=0.001",),
    ("cluster=prefill_decode", "policy/routing=disaggregation", "policy/batching=continuous"),
    ("calibration.phi=1",), ("policy/eviction=swap", "policy/batching=orca"), ("reference=rtlmm",),
    ("trace.window=999",), ("load=0.5", "load_of=foo"), ("cluster.devices.gpu.max_model_len=99999",),
    ("+trace.unit=ms",), ("model=gtp2",),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A command line: what was `given`, beside what keeps it `tiny`; `damage` says how it was spoilt, if it was."""

    number: int
    tiny: tuple[str, ...]
    given: tuple[str, ...]
    damage: tuple[str, ...]
    multirun: bool

    @property
    def arguments(self) -> list[str]:
        """The command line, without the folder of the results."""
        return [*(["-m", "hydra.launcher.n_jobs=1"] if self.multirun else []), *self.tiny, *self.given]


def draw(seed: int, number: int, folder: Path) -> Case:
    """The case `number` of the run with `seed`; `folder` holds the files that it needs."""
    rng = Random(f"settings {seed} {number}")
    option = rng.choice(sorted(TRACES))
    tiny, text = TRACES[option]
    chosen = {"trace": option, "predictor": rng.choice(ANY_TRACE + (WITH_TEXT if text else ()))}
    if option == "parquet":
        tiny = (f"trace.path={stored(folder)}",)
    if rng.random() < 0.25:
        del chosen["predictor"]
        systems = SYSTEMS if text else ("fifo", "hpf", "sjf_oracle")
        chosen["system"] = rng.choice(systems)
    else:
        chosen["policy"] = rng.choice(POLICIES)
        for part, options in PARTS.items():
            if rng.random() < 0.25:
                chosen[f"policy/{part}"] = rng.choice(options)
        if chosen.get("policy/eviction") == "swap" and chosen.get("policy/batching") not in PREEMPTING:
            del chosen["policy/eviction"]
    if chosen.get("predictor") == "tfidf" and option == "recorded":
        tiny = (*tiny, "trace.with_text=true")
    for key, values in NUMBERS.items():
        if rng.random() < 0.2:
            chosen[key] = rng.choice(values)
    if rng.random() < 0.1 and option not in ("closed_loop", "multi_turn", "parquet"):
        tiny = tuple(one for one in tiny if not one.startswith("trace.rate="))
        chosen["load"] = rng.choice(("0.5", "1.2"))
    given = [f"{key}={value}" for key, value in chosen.items()]
    damage = tuple(rng.choice(DAMAGE) for _ in range(rng.choice((0, 0, 1, 1, 2))))
    kept = list(tiny)
    for kind in damage:
        given, kept = spoilt(kind, given, kept, rng)
    multirun = rng.random() < 0.1
    if multirun and not damage:
        given = [one for one in given if not one.startswith(("leap=", "seed="))] + ["leap=true,false"]
    return Case(number, tuple(kept), tuple(given), damage, multirun)


def stored(folder: Path) -> Path:
    """A trace of one's own: without text, ids or priorities."""
    import pandas as pd

    path = folder / "own.parquet"
    if not path.exists():
        rows = range(40)
        columns = {"arrival": [0.05 * row for row in rows], "prompt_tokens": [5 + row for row in rows]}
        write(
            pd.DataFrame({**columns, "output_tokens": [1 + row % 9 for row in rows]}), path, {"made": "by the fuzzer"}
        )
    return path


def spoilt(kind: str, given: list[str], tiny: list[str], rng: Random) -> tuple[list[str], list[str]]:
    """What was given and what keeps it tiny, with one thing wrong, or perhaps just odd."""
    at = rng.randrange(len(given))
    key, _, value = given[at].partition("=")
    made = list(given)
    if kind == "typo":
        made[at] = f"{_mistyped(key, rng)}={value}"
    elif kind == "option":
        made[at] = f"{key}={_mistyped(value, rng)}"
    elif kind in ("wild", "near"):
        key = rng.choice([*_settings(given), key])
        value = rng.choice(WILD if kind == "wild" else ("0", "1", "2", "3", "0.5", "10", "1.0", "-2", "64", "false"))
        made = [one for one in given if one.partition("=")[0] != key] + [f"{key}={value}"]
        tiny = [one for one in tiny if one.partition("=")[0] != key]
    elif kind == "added":
        made.append(rng.choice(ADDED))
    elif kind == "taken":
        made.append(f"~{rng.choice([*_settings(given), key])}")
    elif kind == "twice":
        made.append(f"{key}={rng.choice((value, *WILD))}")
    elif kind == "contrary":
        extra = rng.choice(CONTRARY)
        keys = {one.partition("=")[0] for one in extra}
        made = [*(one for one in given if one.partition("=")[0] not in keys), *extra]
    elif kind == "grammar":
        made.append(
            rng.choice(("foo", "=1", "a==", "x=[1", "x={a", "'", "+", "~", "policy", "trace.rate", "x=1=2", "a b=1"))
        )
    elif kind == "flag":
        made.append(rng.choice(("--fast", "--multrun", "-x", "--config-dir=/no/such")))
    return made, tiny


def _mistyped(word: str, rng: Random) -> str:
    at = rng.randrange(max(1, len(word)))
    return rng.choice(
        (word[:at] + word[at + 1 :], word[:at] + "x" + word[at:], word[:at] + word[at:][1::-1] + word[at + 2 :])
    )


def _settings(given: list[str]) -> list[str]:
    """Settings that these options have, by the names in their yaml files."""
    from experiments.settings.helps import commented

    found = [name for name, _ in commented(CONF / "config.yaml")]
    for one in given:
        group, _, option = one.partition("=")
        file = CONF / group / f"{option}.yaml"
        if file.is_file() and group not in ("system", "experiment"):
            found += [f"{group.replace('/', '.')}.{name}" for name, _ in commented(file)]
    return found + [
        f"cluster.devices.gpu.{name}" for name in ("count", "kv_tokens", "max_model_len", "kind", "batching")
    ]
