"""What a validation prints, and the files it leaves: errors, gains, pictures of both distributions."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd

from experiments.figures.style import save
from experiments.run.written import write_whole
from experiments.validation import gains
from experiments.validation.alike import differences
from experiments.validation.drift import corrected_errors, said
from experiments.validation.errors import errors, request_errors
from experiments.validation.figure import draw
from experiments.validation.replay import Case
from experiments.validation.session import Validation
from experiments.validation.shown import render
from profiles.measuring.anchors import uncertainty
from profiles.release import describe


def write(done: Validation) -> None:
    """Compare the real runs of `done` with the simulator; print tables, or JSON lines, and save both with pictures."""
    compared = [(case, done.real(case), *both_simulated(done, case)) for case in done.cases.values()]
    lines: list[dict[str, Any]] = []
    texts = [header(done)]
    for case, real, simulated, corrected in compared:
        table = errors(real, simulated)
        if corrected:
            table = table.merge(corrected_errors(real, corrected), on=["metric", "statistic"])
        table = judged(table, done.cfg.tolerance)
        single = request_errors(real, simulated)
        of_case = {"rate": case.rate, "seed": case.seed, "policy": case.policy}
        lines += [{"kind": "error", **of_case, "repeats": len(real), **row} for row in table.to_dict("records")]
        lines += [{"kind": "request_error", **of_case, **row} for row in single.to_dict("records")]
        anchors = said(done.profile, done.speeds(case), done.anchored(case)) if corrected else []
        lines += [{"kind": "anchor", **of_case, "said": line} for line in anchors]
        texts.append("\n".join([title(done, case), render(table, single), *anchors]))
        save(draw(real, simulated, caption(done, case)), done.root / "figures" / stem(done, case))
    for rate in done.rates if len(done.cfg.policies) > 1 else []:
        at_rate = [part for part in compared if part[0].rate == rate]
        table = gains.gains(*(by_policy(at_rate, column) for column in (1, 3 if at_rate[0][3] else 2)))
        lines += [{"kind": "gain", "rate": rate, **row} for row in table.to_dict("records")]
        texts.append(f"{rate:g} requests/s: change of the mean, 95 % interval over pairs\n{gains.render(table)}")
    whole = [as_json({"engine": done.cfg.engine, "model": done.cfg.model, **line}) for line in lines]
    write_whole(done.root / "report.jsonl", "\n".join(whole) + "\n")
    write_whole(done.root / "report.txt", "\n\n".join(texts) + "\n")
    print("\n".join(whole) if done.cfg.json else "\n\n".join([*texts, f"results: {done.root}"]))


def both_simulated(done: Validation, case: Case) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """The simulated run of `case` by what was timed, and one at the speed of each real run, if that is known."""
    return done.simulated(case), done.corrected(case)


def by_policy(compared: list[Any], column: int) -> dict[str, dict[int, list[pd.DataFrame]]]:
    """Policy -> seed -> tables; `column` 1 holds the real ones, 2 the simulated one, 3 those at each one's speed."""
    found: dict[str, dict[int, list[pd.DataFrame]]] = {}
    for part in compared:
        tables = part[column] if isinstance(part[column], list) else [part[column]]
        found.setdefault(part[0].policy, {})[part[0].seed] = tables
    return found


def judged(table: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """`table` with a `verdict` of the corrected error, or of the raw one where no anchor is known.

    Within the share `tolerance`; or `outside`, if it is larger than what the real runs can tell from none; else
    undecided. What could have been told is said: of corrected errors `detects`, else the real runs' `spread`.
    """
    error = table["corrected"] if "corrected" in table else table["error"]
    told = table.get("detects", table.get("spread", pd.Series(math.nan, table.index)))
    return table.assign(verdict=[verdict(*pair, tolerance) for pair in zip(error, told, strict=True)])


def verdict(error: float, told: float, tolerance: float) -> str:
    """What is said of an error (a share), where none smaller than `told` can be told from none (NaN: one run)."""
    if math.isnan(error):
        return "undefined"
    limit = "one run" if math.isnan(told) else f"+- {100 * told:.1f} %"
    if abs(error) <= tolerance:
        return f"within {100 * tolerance:g} %" + ("" if told <= tolerance else f", {limit}")
    return "outside" if not abs(error) <= told else f"undecided, {limit}"


def header(done: Validation) -> str:
    """What was compared, in a few lines."""
    cfg, profile = done.cfg, done.profile
    summaries = [summary for case in done.cases.values() for summary in done.summaries(case)]
    engine = summaries[0]["engine"]
    unlike = sorted({line for one in summaries for line in differences(profile.provenance, one["engine"])})
    facts = ", ".join(f"{name} {value}" for name, value in engine.items())
    lines = [
        f"{cfg.model} on {profile.provenance['device_name']}, engine={cfg.engine} ({facts})",
        f"profile: {profile.kind}, {profile.provenance['date']}; trace: {next(iter(done.cases.values())).provenance}",
        describe(profile.provenance["residuals"], profile.provenance.get("residuals_uncorrected")),
        *unlike,
    ]
    if done.has_anchor:
        lines.insert(3, uncertainty(profile.provenance["anchor"], profile.provenance["apart"]))
    return "\n".join(lines)


def title(done: Validation, case: Case) -> str:
    """The line above the table of `case`."""
    trace = f", trace {case.seed}" if len(done.seeds) > 1 else ""
    return (
        f"{case.policy} at {case.rate:g} requests/s{trace}: {len(case.requests)} requests, {done.cfg.repeats} real runs"
    )


def stem(done: Validation, case: Case) -> str:
    """The name of the picture of `case`, without its kind."""
    policy = case.policy.replace(" ", "-").replace("/", "-")
    return f"{policy}-{case.rate:g}" + (f"-trace{case.seed}" if len(done.seeds) > 1 else "")


def caption(done: Validation, case: Case) -> str:
    """Where the numbers of a picture come from."""
    return (
        f"{title(done, case)}. {done.cfg.model} under engine={done.cfg.engine} on "
        f"{done.profile.provenance['device_name']}; profile {done.profile.kind} {done.profile.provenance['date']} on "
        f"the same machine. Trace: {case.provenance}."
    )


def as_json(line: dict[str, Any]) -> str:
    """One line of JSON; what is not a number is null."""
    plain = {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in line.items()}
    return json.dumps(plain, default=lambda value: value.item())
