"""The public formats in json, made and read back by plain Python."""

from __future__ import annotations

import json
from itertools import pairwise
from random import Random
from statistics import median
from typing import Any

from tests.tracefuzz.formats import Format
from tests.tracefuzz.reading import (
    ANY,
    LONGEST,
    Line,
    Reading,
    Unreadable,
    Verdict,
    count,
    document,
    far,
    from_first,
    is_text,
    json_lines,
    json_number,
    may_extra,
    not_negative,
    settle_order,
)
from tests.tracefuzz.sheet import Sheet, json_row, row_count
from traces.formats import infercept, llmservingsim, mooncake, qwen_bailian

SERVED = {
    "prompt_tokens": "input_toks",
    "output_tokens": "output_toks",
    "arrival": "arrival_time",
    "queued": "queued_ts",
    "measured_first_scheduled": "scheduled_ts",
    "measured_first_token": "first_token_ts",
    "measured_finished": "last_token_ts",
}
ROUNDING = 1e-5  # s: instants on the client's clock are some 10^9 s


def make_served(rng: Random) -> Sheet:
    arrival, ahead, rows = rng.uniform(100, 200), 1_777_000_000.0, []
    for number in range(row_count(rng)):
        arrival += rng.uniform(0, 1)
        times = [arrival + rng.uniform(0.001, 0.01)]
        for _ in range(3):
            times.append(times[-1] + rng.uniform(0.001, 1))
        rows.append(
            json_row(
                request_id=f"bench-{number}", input_toks=rng.randint(1, 3000), output_toks=rng.randint(1, 900),
                arrival_time=ahead + arrival, queued_ts=times[0], scheduled_ts=times[1], first_token_ts=times[2],
                last_token_ts=times[3],
            )
        )  # fmt: skip
    return Sheet(rows)


def read_served(content: bytes, name: str) -> Reading:
    found, may = json_lines(content, name)
    for line, row in found:
        for ours, theirs in SERVED.items():
            whole = theirs.endswith("toks")
            value = json_number(line, theirs, row, whole=whole)
            line.values[ours] = count(line, theirs, value) if whole else value
        line.values["max_tokens"] = line.values["output_tokens"]  # the benchmark forces lengths
        line.values["request_id"] = text_cell(line, row, "request_id")
        may_extra(line, row, {*SERVED.values(), "request_id"})
    lines = [line for line, _ in found]
    shifted = _set_clocks(lines)
    settle_order(lines)
    return Reading(lines, may=may, shifted=shifted)


def _set_clocks(lines: list[Line]) -> bool:
    """Make every instant seconds from the first arrival, as the request that was queued soonest sets the two clocks;
    True where bad lines leave it open which those are."""
    timed = [line for line in lines if None not in [line.values[name] for name in list(SERVED)[2:]]]
    for line in timed:
        instants = [line.values[name] for name in list(SERVED)[3:]]
        for before, after in pairwise(instants):
            if after < before:
                line.worse(Verdict.MAY if after > before - ROUNDING else Verdict.BAD, "instants are not in order")
    sure = [line for line in timed if line.verdict is Verdict.LEGAL]
    for line in timed if sure else []:
        apart, lasted = zip(_apart(line, sure), _apart(line, timed), strict=True)
        if max(apart) > min(lasted):
            line.worse(Verdict.BAD if min(apart) > max(lasted) else Verdict.MAY, "clocks differ from the others'")
    sure = [line.values for line in lines if line.verdict is Verdict.LEGAL]
    soonest = min(sure, key=lambda row: row["queued"] - row["arrival"], default={"queued": 0.0, "arrival": 0.0})
    queued, start = soonest["queued"], sure[0]["arrival"] if sure else 0.0
    after = soonest["arrival"] - start
    for line in lines:
        del line.values["queued"]
        for name in list(SERVED)[2:]:
            if name in line.values and line.values[name] is not None:
                line.values[name] = line.values[name] - (start if name == "arrival" else queued - after)
                if name != "arrival" and len(sure) < len(lines):
                    line.values[name] = ANY
    return len(sure) < len(lines)


def _apart(line: Line, others: list[Line]) -> tuple[float, float]:
    """How far the line's two clocks are from the median of those lines, and how long their run lasted."""
    middle = median(one.values["queued"] - one.values["arrival"] for one in others)
    instants = [one.values[name] for one in others for name in list(SERVED)[3:]]
    return abs(line.values["queued"] - line.values["arrival"] - middle), max(instants) - min(instants)


def text_cell(line: Line, row: dict[str, Any], name: str) -> str:
    if not is_text(row.get(name)):
        line.worse(Verdict.BAD, f"{name} is no text")
    return row.get(name)


def hash_ids(line: Line, row: dict[str, Any], tokens: float | None, each: int) -> list[int]:
    """The row's ids, one for each `each` of its tokens."""
    ids = row.get("hash_ids")
    if not isinstance(ids, list) or not all(type(one) is int and -(2**63) <= one < 2**64 for one in ids):
        line.worse(Verdict.BAD, "hash_ids")
        return []
    if tokens is not None and len(ids) != -(-tokens // each):
        line.worse(Verdict.BAD, "number of hash_ids")
    return ids


def make_mooncake(rng: Random) -> Sheet:
    time, rows = 0, []
    for _ in range(row_count(rng)):
        time += rng.choice((0, 0, 3000))
        length = rng.randint(1, 5000)
        ids = [rng.randrange(500) for _ in range(-(-length // 512))]
        rows.append(json_row(timestamp=time, input_length=length, output_length=rng.randint(1, 900), hash_ids=ids))
    return Sheet(rows)


def lengths(line: Line, row: dict[str, Any]) -> None:
    for ours, theirs in (("prompt_tokens", "input_length"), ("output_tokens", "output_length")):
        line.values[ours] = count(line, theirs, json_number(line, theirs, row, whole=True))


def read_mooncake(content: bytes, name: str) -> Reading:
    found, may = json_lines(content, name)
    instants = []
    for line, row in found:
        line.values["arrival"] = None
        instants.append(not_negative(line, "timestamp", json_number(line, "timestamp", row, whole=False)))
        lengths(line, row)
        line.values["prompt_ids"] = hash_ids(line, row, line.values["prompt_tokens"], 512)
        line.values["id_tokens"] = 512
        may_extra(line, row, {"timestamp", "input_length", "output_length", "hash_ids"})
    lines = [line for line, _ in found]
    shifted = from_first(lines, instants, 1000)
    settle_order(lines)
    return Reading(lines, may=may or far(instants, 1000), shifted=shifted)


QWEN = ("chat_id", "parent_chat_id", "timestamp", "input_length", "output_length", "type", "turn", "hash_ids")


def make_qwen(rng: Random) -> Sheet:
    time, rows, turns = 0.0, [], {}
    for chat in range(row_count(rng)):
        time = round(time + rng.choice((0, rng.uniform(0, 2))), 3)
        parent = rng.choice((-1, *turns)) if turns else -1
        turns[chat] = turns.get(parent, 0) + 1
        length = rng.randint(1, 200)
        ids = [rng.randrange(10**6) for _ in range(-(-length // 16))]
        cells = (chat, parent, time, length, rng.randint(1, 900), rng.choice(("text", "search")), turns[chat], ids)
        rows.append(json_row(**dict(zip(QWEN, cells, strict=True))))
    return Sheet(rows)


def read_qwen(content: bytes, name: str) -> Reading:
    found, may = json_lines(content, name)
    instants: list[float | None] = []
    for line, row in found:
        chat, parent = (row.get(column) for column in QWEN[:2])
        if type(chat) is not int or type(parent) is not int or not 0 <= chat < 2**64 or not -1 <= parent < 2**64:
            line.worse(Verdict.BAD, "chat ids")
            chat = None
        line.values["arrival"] = None
        instants.append(not_negative(line, "timestamp", json_number(line, "timestamp", row, whole=False)))
        lengths(line, row)
        line.values |= {"task": text_cell(line, row, "type"), "id_tokens": 16}
        line.values["prompt_ids"] = hash_ids(line, row, line.values["prompt_tokens"], 16)
        if type(row.get("turn")) is not int or set(row) - set(QWEN):
            line.worse(Verdict.MAY, "turn, or another name")
        line.values["request_id"] = None if chat is None else str(chat)
    lines = [line for line, _ in found]
    _follow_parents(lines, [row.get("parent_chat_id") for _, row in found])
    shifted = from_first(lines, instants, 1)
    settle_order(lines)
    if any(line.verdict is not Verdict.LEGAL for line in lines):  # a chain of chats may lead over a bad line
        for line in lines:
            line.values["session"] = ANY
    return Reading(lines, may=may or far(instants, 1), shifted=shifted)


def _follow_parents(lines: list[Line], parents: list[Any]) -> None:
    """The session of each chat; a chat whose parent comes later is bad, or may be where the parent's line is bad."""
    verdicts = [line.verdict for line in lines]
    places: dict[str, int] = {}
    for at, line in enumerate(lines):
        places.setdefault(line.values["request_id"], at)
    roots = {"-1": None}
    for at, (line, parent) in enumerate(zip(lines, map(str, parents), strict=True)):
        chat = line.values["request_id"]
        line.values["session"] = roots.get(parent, parent) or chat
        if chat is not None and parent not in roots and places.get(parent, -1) >= at:
            sure = verdicts[places[parent]] is Verdict.LEGAL
            line.worse(Verdict.BAD if sure else Verdict.MAY, "the parent comes later")
        roots.setdefault(chat, line.values["session"])


SEGMENT = ["prompt_tokens_total_at_segment_start", "completion_tokens", "api_time_s", "api_return_tokens"]
SEGMENT += ["exact(1)/chars_div_4(0)"]


def make_infercept(rng: Random) -> Sheet:
    rows = []
    for number in range(row_count(rng)):
        start, segments = rng.randint(1, 900), []
        for left in range(rng.randint(1, 4), 0, -1):
            call = (rng.uniform(0, 9), rng.randint(0, 90)) if left > 1 else (0.0, 0)
            segments.append([start, rng.randint(1, 300), *call, 1])
            start += segments[-1][1] + segments[-1][3]
        rows.append(json_row(key=f"{number:08x}", cls=rng.choice(("math", "chatbot")), segs=segments))
    return Sheet(rows, opening=f'{{"cols": {json.dumps(SEGMENT)}, "data": [', joint=",", closing="]}")


def read_infercept(content: bytes, name: str) -> Reading:
    found, may = document(content, name)
    if not isinstance(found, dict) or found.get("cols") != SEGMENT or not isinstance(found.get("data"), list):
        raise Unreadable("no such object")
    if not found["data"]:
        raise Unreadable("no rows")
    lines = [_chain(row) for row in found["data"]]
    settle_order(lines)
    return Reading(lines, may=may or len(found) > 2)


def _chain(row: Any) -> Line:
    line = Line()
    if not isinstance(row, dict):
        line.worse(Verdict.BAD, "no object")
        return line
    may_extra(line, row, {"key", "cls", "segs"})
    values = {"request_id": text_cell(line, row, "key"), "task": text_cell(line, row, "cls"), "arrival": 0.0}
    segments = row.get("segs")
    sound = isinstance(segments, list) and all(isinstance(one, list) and len(one) == 5 for one in segments)
    if not sound or not segments:
        line.worse(Verdict.BAD, "segs")
        return line
    pauses, emitted, end = [], 0, None
    for at, cells in enumerate(segments):
        part = Line()
        named = dict(zip(SEGMENT, cells, strict=True))
        numbers = [json_number(part, name, named, whole=name != "api_time_s") for name in SEGMENT]
        if None in numbers or any(number % 1 for number in (*numbers[:2], *numbers[3:])):
            line.worse(Verdict.BAD, f"segment {at + 1}: {part.why}")
            return line
        start, completion, seconds, returned, exact = numbers
        if part.verdict is Verdict.MAY or exact not in (0, 1):
            line.worse(Verdict.MAY, "an odd number")
        if completion < 1:
            line.worse(Verdict.BAD, "completion")
        if seconds < 0 or not 0 <= returned <= LONGEST:
            line.worse(Verdict.BAD if at < len(segments) - 1 else Verdict.MAY, "call")  # the last one is not read
        if end is not None and abs(start - end) > (0 if exact else 1):
            line.worse(Verdict.BAD, "start")
        emitted, end = emitted + completion, start + completion + returned
        pauses.append([emitted, seconds, returned])
    line.values = {**values, "prompt_tokens": count(line, "prompt", segments[0][0]), "pauses": pauses[:-1]}
    line.values["output_tokens"] = count(line, "output", emitted)
    return line


LINES = (".jsonl", ".jsonl.gz")
FORMATS = (
    Format("llmservingsim", LINES, make_served, read_served, llmservingsim.load),
    Format("mooncake", LINES, make_mooncake, read_mooncake, mooncake.load),
    Format("qwen_bailian", LINES, make_qwen, read_qwen, qwen_bailian.load),
    Format("infercept", (".json", ".json.gz"), make_infercept, read_infercept, infercept.load),
)
