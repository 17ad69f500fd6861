"""Runs a command line in this process, and says what came of it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pandas as pd
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from experiments.identity.digests import digest_of
from experiments.run import run
from experiments.run.inputs import read_inputs
from experiments.run.load import at_load
from experiments.run.parts import build
from tests.settingsfuzz.draw import CONF, Case

COMPLETE, REFUSED = "complete", "refused"
TRACEBACK, PYTHON, HUNG, IDLE = "traceback", "Python's own words", "hung", "without effect"
UNTIDY, UNNAMED, LATE, INCOMPLETE, STRICT = (
    "not one line",
    "names no setting",
    "failed late",
    "incomplete",
    "too strict",
)
DEFECTS = (TRACEBACK, PYTHON, HUNG, IDLE, UNTIDY, UNNAMED, LATE, INCOMPLETE, STRICT)
OUTCOMES = (COMPLETE, REFUSED, *DEFECTS)
PATIENCE = 20  # s of processor time for one command; a machine that others use takes longer by the clock
ASLEEP = 6 * PATIENCE  # s by the clock
OWN_WORDS = re.compile(
    r"\b(Type|Key|Attribute|Index|ZeroDivision|Overflow|Runtime|Assertion|Import|Name|Recursion|Lookup|Memory)Error\b"
    r"|has no attribute|unexpected keyword|positional argument|not supported between|unsupported operand"
    r"|could not convert"
    r"|invalid literal|is not a valid|cannot convert|HYDRA_FULL_ERROR|object is not|must be real number|NoneType|<class"
    r"|not iterable|not subscriptable|expected str|Errno|math domain|out of range|need at least one array"
)


@dataclass(frozen=True)
class Verdict:
    """What became of a command: its outcome, and what it said or lacked."""

    outcome: str
    detail: str


class _Late(BaseException):
    """The command took longer than `PATIENCE`; no `except Exception` stops it."""


def judge(case: Case, folder: Path, effects: int = 1) -> Verdict:
    """Run the case in `folder`; where it ends well, see in one case of `effects` whether a setting has one."""
    results = folder / "results"
    shutil.rmtree(results, ignore_errors=True)
    for one in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(one, _alarm)
    signal.alarm(ASLEEP)
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    try:
        code, errors = _typed([f"results={results}", *case.arguments], folder)
        if code:
            return _refused(case, errors)
        verdict = _complete(results)
        tried = verdict.outcome == COMPLETE and case.number % effects == 0
        return _effect(case) if tried else verdict
    except _Late:
        return Verdict(HUNG, f"nothing within {PATIENCE} s")
    except Exception:
        return Verdict(TRACEBACK, traceback.format_exc()[-1500:])
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
        GlobalHydra.instance().clear()


def _alarm(number: int, frame: object) -> None:
    raise _Late


def _typed(arguments: list[str], folder: Path) -> tuple[int, str]:
    """The exit code of a command line and what it wrote as errors."""
    said, errors, before = io.StringIO(), io.StringIO(), (sys.argv, os.getcwd())
    sys.argv = ["tokenyard", *arguments]
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
            run.main()
    except SystemExit as ended:
        return (ended.code if isinstance(ended.code, int) else 1 if ended.code else 0), errors.getvalue()
    finally:
        sys.argv = before[0]
        os.chdir(before[1])
    return 0, errors.getvalue()


def _refused(case: Case, errors: str) -> Verdict:
    """A refusal is a line for each problem, and each names a setting; a sound command line is not refused."""
    lines = [line for line in errors.splitlines() if not line.startswith("simulate: ")]  # the progress bar
    if "Traceback (most recent call last)" in errors:
        return Verdict(TRACEBACK, errors[-1500:])
    if found := OWN_WORDS.search(errors):
        return Verdict(PYTHON, f"{found[0]!r} in: {errors[:600]}")
    if any(line.startswith(("failed: ", "no table, or no figure: ")) for line in lines):
        return Verdict(LATE, errors[:600])
    names = [one.partition("=")[0].lstrip("+~-").split("@")[0] for one in (*case.tiny, *case.given, "results=")]
    wrong = [line for line in lines if not any(name and name in line for name in (*names, *map(str, case.given)))]
    if not lines or not all(line.strip() for line in lines):
        return Verdict(UNTIDY, errors[:600])
    if wrong:
        return Verdict(UNNAMED, wrong[0][:600])
    if not case.damage:
        return Verdict(STRICT, errors[:600])
    return Verdict(REFUSED, lines[0][:300])


def _complete(results: Path) -> Verdict:
    """Every run of a complete command has its files, its summary is JSON, and no request is lost."""
    statuses = list(results.rglob("status.json"))
    if not statuses:
        return Verdict(INCOMPLETE, "there are no results")
    for status in statuses:
        if json.loads(status.read_text())["state"] != "complete":
            return Verdict(INCOMPLETE, f"{status} is not complete")
        try:
            summary = json.loads((status.parent / "summary.json").read_text(), parse_constant=_no_constant)
        except ValueError as error:
            return Verdict(INCOMPLETE, f"summary.json is no JSON: {error}")
        requests = pd.read_parquet(status.parent / "requests.parquet")
        if not len(requests) or (requests["finished"] < requests["arrival"]).any():
            return Verdict(INCOMPLETE, "requests.parquet has no rows, or ends before beginnings")
        counts = summary.get("counts", {})
        ends = [counts.get(name, 0) for name in ("warmup", "measured", "rejected", "censored", "never_came")]
        if counts and sum(ends) != counts["replayed"]:
            return Verdict(INCOMPLETE, f"the counts do not add up: {counts}")
    return Verdict(COMPLETE, "")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} in it")


def _effect(case: Case) -> Verdict:
    """Whether what was given changes anything: without it, what would run must be something else.

    One of the settings is left out, drawn by the number of the case. What would run is built both times, from the yaml
    to the trace and its requests, the fitted predictor, the policy and the devices, and compared as printed, beside the
    settings of the run itself; which policy was named counts too, for tables go by that name. A setting that leaves the
    whole configuration as it is only repeats a default: that is no defect.
    """
    candidates = [one for one in case.given if not one.startswith(("name=", "trace=", "~"))]
    if case.multirun or not candidates:
        return Verdict(COMPLETE, "")
    left_out = Random(case.number).choice(candidates)
    rest = [one for one in (*case.tiny, *case.given) if one != left_out]
    try:
        whole = [*case.tiny, *case.given]
        ours, choices = _configured(whole)
        theirs, others = _configured(rest)
        if (ours, choices) == (theirs, others):
            return Verdict(COMPLETE, "")
        same = choices["policy"] == others["policy"] and _would_run(ours, whole) == _would_run(theirs, rest)
    except Exception:  # what is left cannot run: so it did make a difference
        return Verdict(COMPLETE, "")
    return Verdict(IDLE, f"{left_out} changes nothing that runs") if same else Verdict(COMPLETE, "")


def _configured(arguments: list[str]) -> tuple[DictConfig, dict[str, str]]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=arguments, return_hydra_config=True)
    choices = {key: value for key, value in cfg.hydra.runtime.choices.items() if not key.startswith("hydra/")}
    OmegaConf.set_struct(cfg, False)
    del cfg["hydra"]
    return cfg, choices


RUN = ("seed", "warmup", "horizon", "record", "audit", "leap", "unservable", "reference", "name", "results")


def _would_run(cfg: DictConfig, arguments: list[str]) -> tuple[str, ...]:
    """All that a run of `cfg`, which the `arguments` composed, is made of, as printed."""
    seeds = list(cfg.seed) if OmegaConf.is_list(cfg.seed) else [cfg.seed]
    found = [str(cfg.get(key)) for key in RUN]
    for seed in seeds:
        one = OmegaConf.merge(cfg, {"seed": seed})
        one = at_load(one, arguments)
        inputs = read_inputs(one)
        parts = build(one, inputs.cluster, inputs.training)
        found.append(_printed(instantiate(one.trace, _convert_="all")))
        found += [_printed(parts.policy), _printed(parts.predictor), _printed(inputs.cluster), digest_of(inputs.replay)]
    return tuple(found)


def _printed(part: object) -> str:
    return hashlib.sha256(repr(part).encode()).hexdigest()
