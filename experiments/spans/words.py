"""A split difference in words: a sentence or two that say why."""

from __future__ import annotations

import numpy as np

from experiments.spans.explanation import Explanation

WORTH = 0.05  # of the whole difference: a part below that is not told
COVERED = 0.9  # of it: parts are told until they make up so much
MOSTLY = 0.5  # of a part: a class of sizes that has more is named,
MORE = 1.25  # if each request in it has so much more than all on average
FEW = 0.1  # of the pairs: so few that it is told how much of the difference is theirs
ALIKE = 0.02  # batches that differ by a smaller share are as large
ANSWERS = {"output_tokens": "answers", "prompt_tokens": "prompts"}
PART = {"offload": "time on the CPU", "pauses": "time in calls", "predictor": "for the predictor",
        "scheduler": "for the scheduler"}  # fmt: skip


def heading(found: Explanation) -> list[str]:
    """What is compared, and how the classes are cut."""
    first, second = found.names
    seeds = f"{found.seeds} seed{'s' if found.seeds > 1 else ''}"
    cuts = "; ".join(f"{size}: {found.cut(size)}" for size in found.classes)
    return [
        f"{second} against {first}: {len(found.pairs):,} requests of {seeds}, each served by both; seconds a request, "
        f"mean over seeds{' ± half of its 95 % interval' if found.seeds > 1 else ''}",
        f"sizes by {found.by}, as many requests in each class as ties let: {cuts}",
    ]


def why(found: Explanation) -> str:
    """Who loses how much, of which parts, in which class, and what speaks against it."""
    first, second = found.names
    whole = found.difference()
    if not abs(whole.mean) > 0:
        return f"{second} and {first} take as long, to the last bit."
    of = [found.mean(side[found.parts].sum(axis=1)) for side in (found.first, found.second)]
    verb = "loses" if whole.mean > 0 else "gains"
    interval = f"± {_s(whole.half_width)}"
    if np.isnan(whole.half_width):
        interval = f"no interval: {'one seed' if found.seeds == 1 else 'the same requests under each seed'}"
    said = f"{second} {verb} {_s(abs(whole.mean))} s a request ({_s(of[0])} to {_s(of[1])} s, {interval})"
    if not np.isnan(whole.half_width) and whole.half_width >= abs(whole.mean):
        said += ", which these seeds do not tell from chance"
    changes = {part: found.difference(part).mean for part in found.parts}
    sign = np.sign(whole.mean)
    ordered = sorted(changes, key=lambda part: -sign * changes[part])
    towards, sum_of = [], 0.0
    gains = sum(max(0.0, sign * change) for change in changes.values())
    for part in ordered:
        if sign * changes[part] < WORTH * abs(whole.mean) or sum_of >= COVERED * gains:
            break
        sum_of += sign * changes[part]
        towards.append(_told(found, part, changes[part]))
    against = [
        _told(found, part, changes[part])
        for part in reversed(ordered)
        if -sign * changes[part] >= WORTH * abs(whole.mean)
    ]
    text = f"{said}: {'; '.join(towards)}."
    if against:
        text += f" Against that: {'; '.join(against)}."
    most = found.most()
    share = found.share(most)
    opposite = most["difference"] * sign < 0
    if opposite.mean() > MOSTLY:
        least, largest = most.loc[opposite, "difference"].abs().agg(["min", "max"])
        way = "gain" if whole.mean > 0 else "lose"
        text += f" Yet {opposite.sum()} of the {len(most)} that differ most {way} {_s(least)} to {_s(largest)} s each."
    if MOSTLY <= share <= 1 and len(most) < FEW * len(found.pairs):
        text += f" {len(most)} of the {len(found.pairs):,} requests are {share:.0%} of the difference."
    return text


def _told(found: Explanation, part: str, change: float) -> str:
    """`1.5 s more queueing, mostly of large answers (81 to 256 tokens: +4.1 s)`."""
    told = f"{_s(abs(change))} s {'more' if change > 0 else 'less'} {PART.get(part, part)}"
    if part == "decode":
        batches = [found.batch(side) for side in (found.first, found.second)]
        if not np.isnan(batches).any():
            ratio = batches[1] / batches[0]
            word = (
                "a larger batch"
                if ratio > 1 + ALIKE
                else "a smaller batch"
                if ratio < 1 - ALIKE
                else "batches as large"
            )
            told += f", in {word} ({batches[1]:.1f} jobs, {batches[0]:.1f} under {found.names[0]})"
    if len(found.classes) > 1:
        shares = {size: float((found.pairs["size"] == size).mean()) for size in found.classes}
        of = {size: found.difference(part, size).mean for size in found.classes}
        top = max(found.classes, key=lambda size: shares[size] * of[size] * np.sign(change))
        if shares[top] * of[top] / change >= MOSTLY and of[top] / change >= MORE:
            told += f", mostly of {top} {ANSWERS[found.by]} ({found.cut(top)}: {'-' if of[top] < 0 else '+'}"
            told += f"{_s(abs(of[top]))} s)"
    return told


def _s(seconds: object) -> str:
    """Seconds with as many digits as one reads: 4.1, 0.25, 0.013."""
    value = float(seconds)  # type: ignore[arg-type]
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"
