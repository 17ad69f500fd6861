"""Every experiment's yaml runs: on 20 requests, with the first value of each setting that it sweeps."""

from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from tests.door import CONF, composed, decide

SMALL = {"requests": 20, "window": 20, "training_requests": 100, "longest_prompt": 40}  # of a trace, where it has them
FILES = ("path", "prompts", "lengths")  # of a trace: not shipped
SLOW = {"predictors", "rtlm/castillo", *(f"size_based/predictions{of}" for of in ("", "_castillo", "_castillo_fcfs"))}
MEASURED_HERE = "cluster.devices.cpu.profile.folder"  # by make demo; without it, the profiles that ship


def experiments() -> dict[str, list[str]]:
    """Each experiment (what has a name; the others are bases), with the first value of each of its sweeps."""
    found = {}
    for path in sorted(Path(CONF, "experiment").rglob("*.yaml")):
        if "name" in yaml.safe_load(path.read_text()):
            name = path.relative_to(CONF / "experiment").with_suffix("").as_posix()
            found[name] = [first(f"{key}={values}") for key, values in swept(name).items()]
    return found


def swept(name: str) -> dict[str, str]:
    """What the experiment `name` sweeps, and those that it is made from."""
    content = yaml.safe_load(Path(CONF, "experiment", f"{name}.yaml").read_text())
    bases = [base for base in content.get("defaults", []) if isinstance(base, str) and base[0] not in "_/"]
    inherited = [swept(base) for base in bases]
    own = content.get("hydra", {}).get("sweeper", {}).get("params", {})
    return {key: values for params in (*inherited, own) for key, values in params.items()}


def first(text: str) -> str:
    """The first setting of `text`, a sweep or not."""
    override = OverridesParser.create().parse_override(text)
    return f"{override.key_or_group}={next(override.sweep_string_iterator())}" if override.is_sweep_override() else text


EXPERIMENTS = experiments()


def test_a_sweep_gives_its_first_value():
    assert [first(one) for one in ("a=3,2", "seed=range(2,5)", "b=null,[0,5]", "c=rtlm")] == [
        "a=3", "seed=2", "b=null", "c=rtlm",
    ]  # fmt: skip


SLOW |= {name for name in EXPERIMENTS if name.startswith(("distributions/", "shootout/castillo"))}


def is_new(name: str, known: set[str]) -> bool:
    """Whether it is the first of those that are made from the same parts; `known` are the parts met so far."""
    parts = repr(yaml.safe_load(Path(CONF, "experiment", f"{name}.yaml").read_text()).get("defaults"))
    new = parts not in known
    known.add(parts)
    return new


# What trains, and all but one of those that are made from the same parts, is for make check.
KNOWN: set[str] = set()
MARKED = [
    pytest.param(name, marks=() if is_new(name, KNOWN) and name not in SLOW else pytest.mark.long)
    for name in EXPERIMENTS
]


@pytest.mark.parametrize("name", MARKED)
def test_every_experiment_runs(name, tmp_path, monkeypatch, request):
    settings = [f"experiment={name}", *EXPERIMENTS[name]]
    cfg = composed(*settings)
    drawn, within = (cfg.trace.source, "trace.source") if "source" in cfg.trace else (cfg.trace, "trace")
    if files := [drawn[key] for key in FILES if isinstance(drawn.get(key), str)]:
        data = request.getfixturevalue("shared_data")
        if missing := [file for file in files if not (data / file).exists()]:
            pytest.skip(f"no {missing[0]} in {data}")
        monkeypatch.setenv("TOKENYARD_DATA", str(data))
    monkeypatch.chdir(tmp_path)
    settings += [f"{within}.{key}={value}" for key, value in SMALL.items() if key in drawn]
    settings += [f"{within}.seconds=null"] if "requests" in drawn and drawn.get("seconds") else []  # it has either
    settings += [f"{MEASURED_HERE}=null"] if OmegaConf.select(cfg, MEASURED_HERE) else []
    settings += [f"seed={cfg.seed[0]}"] if OmegaConf.is_list(cfg.seed) else []
    metrics, tables = decide(*settings)
    assert metrics["counts"]["replayed"] == (20 if {"requests", "window"} & {*drawn} else metrics["counts"]["read"])
    assert set(tables.requests["status"]) == {"finished"}
