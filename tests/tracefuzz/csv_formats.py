"""The public formats in csv, made and read back by plain Python."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from random import Random

from tests.tracefuzz.formats import Format
from tests.tracefuzz.reading import (
    ANY,
    Line,
    Reading,
    Unreadable,
    Verdict,
    count,
    csv_lines,
    far,
    from_first,
    not_negative,
    records,
    settle_order,
    written_number,
)
from tests.tracefuzz.sheet import Sheet, row_count
from traces.formats import azure, burstgpt, splitwise, vidur, vtc

AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_STAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})([ T])([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]{1,9})?"
    r"(\+00:00|Z|[+-][0-9]{2}:[0-9]{2})?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def make_azure(rng: Random) -> Sheet:
    time, rows = rng.randrange(10**9), []
    zone = rng.choice(("", "", "+00:00"))
    for _ in range(row_count(rng)):
        time += rng.choice((0, rng.randrange(10**8)))
        stamp = datetime(2023, 11, 16, 18) + timedelta(seconds=time // 10**7)
        cells = (f"{stamp}.{time % 10**7:07}{zone}", str(rng.randint(1, 8000)), str(rng.randint(1, 900)))
        rows.append(list(zip(AZURE, cells, strict=True)))
    return Sheet(rows, header=list(AZURE))


def nanoseconds(line: Line, raw: str) -> int | None:
    """The instant that a stamp says, ns from 1970; one with a T or a zone other than +00:00 may be refused."""
    found = _STAMP.fullmatch(raw.strip())
    if found is None:
        line.worse(Verdict.BAD, f"{raw[:30]!r} is no stamp")
        return None
    *parts, fraction, zone = found.groups()
    try:
        instant = datetime(*(int(part) for part in (*parts[:3], *parts[4:])), tzinfo=UTC)
    except ValueError:
        line.worse(Verdict.BAD, f"{raw[:30]!r} is no instant")
        return None
    if parts[3] == "T" or zone not in (None, "+00:00") or raw != raw.strip():
        line.worse(Verdict.MAY, "a stamp of another kind")
    if not 1678 <= instant.year <= 2261:  # beyond int64 nanoseconds
        line.worse(Verdict.MAY, "a far year")
    offset = 0 if zone in (None, "Z") else (int(zone[1:3]) * 60 + int(zone[4:])) * (1 if zone[0] == "+" else -1)
    whole = (instant - _EPOCH) // timedelta(seconds=1) - 60 * offset
    return whole * 10**9 + int((fraction or ".0")[1:].ljust(9, "0"))


def read_azure(content: bytes, name: str) -> Reading:
    found, may = csv_lines(content, name, AZURE)
    instants: list[float | None] = []
    for line, cells in found:
        instants.append(nanoseconds(line, cells[0]) if cells else None)
        for column, raw in zip(("prompt_tokens", "output_tokens"), cells[1:], strict=False):
            line.values[column] = count(line, column, written_number(line, column, raw, whole=True))
    lines = [line for line, _ in found]
    shifted = from_first(lines, instants, 10**9)
    settle_order(lines)
    return Reading(lines, may=may, shifted=shifted)


BURST = ("Timestamp", "Model", "Request tokens", "Response tokens", "Total tokens", "Log Type")
LONG_BURST = ("Timestamp", "Session ID", "Elapsed time", *BURST[1:])


def make_burst(rng: Random) -> Sheet:
    long, time, rows = rng.random() < 0.5, rng.uniform(0, 100), []
    for number in range(row_count(rng)):
        time += rng.choice((0, rng.uniform(0, 30)))
        prompt, answer = rng.randint(1, 4000), rng.randint(1, 900)
        cells = [str(int(time)) if not long else repr(time), rng.choice(("ChatGPT", "GPT-4")), str(prompt), str(answer)]
        cells += [str(prompt + answer), rng.choice(("API log", "Conversation log"))]
        if long:
            cells[1:1] = [rng.choice(("", f"s{number % 7}")), repr(rng.uniform(0, 9))]
        rows.append(list(zip(LONG_BURST if long else BURST, cells, strict=True)))
    return Sheet(rows, header=list(LONG_BURST if long else BURST))


def read_burst(content: bytes, name: str) -> Reading:
    try:
        found, may = csv_lines(content, name, BURST)
        header = BURST
    except Unreadable:
        found, may = csv_lines(content, name, LONG_BURST)
        header = LONG_BURST
    instants: list[float | None] = []
    for line, cells in found:
        row = dict(zip(header, cells, strict=False))
        instants.append(written_number(line, "Timestamp", row["Timestamp"], whole=False) if cells else None)
        if not cells:
            continue
        numbers = {
            column: written_number(line, column, row[column], whole=True) for column in header if "tokens" in column
        }
        line.values["prompt_tokens"] = count(line, "prompt", numbers["Request tokens"])
        line.values["output_tokens"] = count(line, "output", numbers["Response tokens"])
        total = numbers["Total tokens"]
        if None not in numbers.values() and total != numbers["Request tokens"] + numbers["Response tokens"]:
            line.worse(Verdict.BAD, "total")
        if not row["Model"] or not row["Log Type"]:
            line.worse(Verdict.BAD, "empty")
        line.values["task"] = f"{row['Model']}, {row['Log Type']}"
        if header is LONG_BURST:
            line.values["session"] = row["Session ID"] or ANY
            if written_number(Line(), "Elapsed time", row["Elapsed time"], whole=False) is None:
                line.worse(Verdict.MAY, "elapsed time, which nobody reads")
    lines = [line for line, _ in found]
    shifted = from_first(lines, instants, 1)
    settle_order(lines)
    return Reading(lines, may=may or far(instants, 1), shifted=shifted)


VTC = ("req_id", "client", "req_time_s", "prompt_len", "output_len")


def make_vtc(rng: Random) -> Sheet:
    time, rows = rng.choice((0.0, rng.uniform(0, 9))), []
    for number in range(row_count(rng)):
        lengths = (str(rng.randint(1, 900)) for _ in range(2))
        cells = (str(number), f"dummy-lora-{rng.randrange(27)}", repr(time), *lengths)
        rows.append(list(zip(VTC, cells, strict=True)))
        time += rng.choice((0, rng.uniform(0, 2)))
    return Sheet(rows, header=list(VTC))


def read_vtc(content: bytes, name: str) -> Reading:
    found, may = csv_lines(content, name, VTC)
    instants: list[float | None] = []
    for line, cells in found:
        instants.append(None)
        if not cells:
            continue
        identity, client, time, prompt, output = cells
        if not identity or not client:
            line.worse(Verdict.BAD, "empty")
        if not identity.isdecimal() or not client.isprintable():
            line.worse(Verdict.MAY, "an odd id or client")
        line.values = {"request_id": identity, "client": client}
        line.values["arrival"] = None
        instants[-1] = not_negative(line, "time", written_number(line, "time", time, whole=False))
        for column, raw in (("prompt_tokens", prompt), ("output_tokens", output)):
            line.values[column] = count(line, column, written_number(line, column, raw, whole=True))
    lines = [line for line, _ in found]
    shifted = from_first(lines, instants, 1)
    settle_order(lines)
    return Reading(lines, may=may or far(instants, 1), shifted=shifted)


VIDUR = ("arrived_at", "num_prefill_tokens", "num_decode_tokens")
SPLITWISE = (
    "request_id", "request_type", "application_id", "arrival_timestamp", "batch_size", "prompt_size", "token_size",
)  # fmt: skip


def make_vidur(rng: Random) -> Sheet:
    time, rows = rng.choice((0.0, rng.uniform(0, 9), 1_787_000_000.25)), []
    more = rng.choice(((), ("num_total_tokens", "pd_ratio")))
    for _ in range(row_count(rng)):
        prompt, answer = rng.randint(1, 4000), rng.randint(1, 900)
        cells = (repr(time), str(prompt), str(answer), str(prompt + answer), repr(prompt / answer))
        rows.append(list(zip(VIDUR + more, cells, strict=False)))
        time += rng.choice((0, rng.uniform(0, 2)))
    return Sheet(rows, header=[*VIDUR, *more])


def make_splitwise(rng: Random) -> Sheet:
    time, rows = rng.choice((0.0, rng.uniform(0, 9))), []
    for number in range(row_count(rng)):
        lengths = (str(rng.randint(1, 4000)), str(rng.randint(1, 900)))
        cells = (str(number), "2", str(rng.randrange(3)), repr(time), "1", *lengths)
        rows.append(list(zip(SPLITWISE, cells, strict=True)))
        time += rng.choice((0, rng.uniform(0, 2)))
    return Sheet(rows, header=list(SPLITWISE))


def read_vidur(content: bytes, name: str) -> Reading:
    return _table(records(content, name, VIDUR), *VIDUR)


def read_splitwise(content: bytes, name: str) -> Reading:
    found = records(content, name, SPLITWISE)
    for line, cells in found:
        if cells:
            line.values = dict(zip(("request_id", "task", "client"), list(cells.values())[:3], strict=True))
            if cells["batch_size"] != "1":
                line.worse(Verdict.BAD, "batch_size")
    return _table(found, SPLITWISE[3], *SPLITWISE[5:])


def _table(found: list[tuple[Line, dict[str, str]]], arrival: str, prompt: str, output: str) -> Reading:
    """A reading of mapped columns, whose first arrival may be any number."""
    instants: list[float | None] = []
    for line, cells in found:
        instants.append(written_number(line, arrival, cells[arrival], whole=False) if cells else None)
        if cells:
            line.values["arrival"] = None
            for ours, theirs in (("prompt_tokens", prompt), ("output_tokens", output)):
                line.values[ours] = count(line, theirs, written_number(line, theirs, cells[theirs], whole=True))
    lines = [line for line, _ in found]
    shifted = from_first(lines, instants, 1)
    settle_order(lines)
    return Reading(lines, may=far(instants, 1), shifted=shifted)


FORMATS = (
    Format("azure", (".csv", ".csv.gz"), make_azure, read_azure, azure.load),
    Format("burstgpt", (".csv", ".csv.gz"), make_burst, read_burst, burstgpt.load),
    Format("vtc", (".csv", ".csv.gz"), make_vtc, read_vtc, vtc.load),
    Format("vidur", (".csv", ".csv.gz"), make_vidur, read_vidur, vidur.load),
    Format("splitwise", (".csv", ".csv.gz"), make_splitwise, read_splitwise, splitwise.load),
)
