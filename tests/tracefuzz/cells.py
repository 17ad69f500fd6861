"""Named ways to spoil the rows and cells of a made text file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random

from tests.tracefuzz.sheet import Inapplicable, Row, Sheet

STAMP = r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d"
HUGE = ("1e400", str(2**63), str(10**30), "1e-320", "9" * 400, "9" * 5000, "-1e400", str(2**64 + 1))


def put(sheet: Sheet, row: int, at: int, raw: str) -> None:
    sheet.rows[row][at] = (sheet.rows[row][at][0], raw)


def replace_cell(pattern: str, csv: Callable[[Random, str], str], json_: Callable[[Random, str], str]):
    """A mutation that rewrites one to three cells in which `pattern` is found."""

    def mutate(sheet: Sheet, rng: Random) -> None:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            cells = [(row, at, raw) for row, cells in enumerate(sheet.rows) for at, (_, raw) in enumerate(cells)]
            found = [cell for cell in cells if re.search(pattern, cell[2])]
            if not found:
                raise Inapplicable
            row, at, raw = rng.choice(found)
            put(sheet, row, at, (csv if sheet.header is not None else json_)(rng, raw))

    return mutate


def choice(*texts: str) -> Callable[[Random, str], str]:
    return lambda rng, raw: rng.choice(texts)


def in_number(change: Callable[[Random, str], str]) -> Callable[[Sheet, Random], None]:
    """A mutation that rewrites one number within a raw cell."""

    def rewrite(rng: Random, raw: str) -> str:
        found = rng.choice([*re.finditer(r"\d+(\.\d+)?([eE][+-]?\d+)?", raw)])
        return raw[: found.start()] + change(rng, found[0]) + raw[found.end() :]

    return replace_cell(r"\d", rewrite, rewrite)


def _time(rng: Random, raw: str) -> str:
    """Another way to write, or to spoil, a stamp such as 2023-11-16 18:15:46.6805900."""
    day, clock = raw[:10], raw[11:].removesuffix("+00:00")
    return rng.choice((
        f"{raw}+00:00", f"{raw}+02:00", f"{raw}-11:30", f"{raw}Z", f"{raw} UTC", f"{day}T{clock}", day, clock,
        f"{day} {clock[:8]}", f"{day} {clock[:8]}.5", f"{day} {clock[:8]}.123456789", f"{day} {clock[:8]}.1234567891",
        f"{day} {clock[:6]}60", f"{day} 24:00:00", f"{day} 25:00:00", f"{day[:8]}31 {clock}", f"2023-02-29 {clock}",
        f"2024-02-29 {clock}", f"1677-01-01 {clock}", f"9999-12-31 {clock}", f"16/11/2023 {clock}", "1700158546.68",
        f"{day} {clock[:5]}", f"{day}  {clock}", f"{raw}\t", f"{day} {clock} PM", "NaT", "now",
    ))  # fmt: skip


def _list(rng: Random, raw: str) -> str:
    """Another list than the one that the json text `raw` says."""
    found = json.loads(raw)
    if not isinstance(found, list):
        raise Inapplicable
    at = rng.randrange(len(found)) if found else 0
    longer, last = rng.choice((1, 2, 50)), found[-1:] or [0]
    options: list[object] = [
        found[: -rng.choice((1, 2))], found + last * longer, [], found[:at], [found], {"0": found}, None, raw,
        *([*found[:at], odd, *found[at + 1 :]] for odd in (-1, 0.5, 1.0, "7", None, True, [1], 2**63, 2**70, -(2**63))),
        found[::-1], found[:at] + found[at + 1 :], sorted(found, key=str),
    ]  # fmt: skip
    return json.dumps(rng.choice(options))


def _deep(rng: Random, raw: str) -> str:
    depth = rng.choice((50, 990, 2000, 100_000))
    return rng.choice(("[" * depth + raw + "]" * depth, '{"a":' * depth + raw + "}" * depth))


ODD_NUMBERS = (
    "abc", "{}x", "'{}", '"{}"', "0x1f", "1_000", "1 000", "\uff11\uff12", "\u0663", "0{}", "+{}", "{}%", " {}", "{} ",
    "{}\r", "{}\xa0", "1e", "--1", "\\u0031", "{}L",
)  # fmt: skip
CSV_TEXTS = ("\xe9", "\u2028", "a\x0bb", "\x85", '"a"', "a;b", "\ufeffa", "\x00", "a\x1cb")
JSON_TEXTS = (
    '"\u2028"', '"\x85"', '"\\ud800"', '"\\u0000"', '"\xe9"', '"\ufeff"', '"\x1c"', '"\x0b"', "'a'", '"\\x41"',
)  # fmt: skip
NESTED = ("[{}]", '{{"a": {}}}', "[[{}]]", "[{0}, {0}]")


def around(*shapes: str) -> Callable[[Random, str], str]:
    return lambda rng, raw: rng.choice(shapes).format(raw)


CELLS: dict[str, Callable[[Sheet, Random], None]] = {
    "nan": replace_cell("", choice("nan", "NaN", "NAN", "-nan", " nan "), choice("NaN", '"NaN"')),
    "inf": replace_cell("", choice("inf", "Infinity", "+inf", "INF"), choice("Infinity", '"inf"', "1e999")),
    "minus_inf": replace_cell("", choice("-inf", "-Infinity"), choice("-Infinity", "-1e999")),
    "negative": in_number(around("-{}")),
    "zero": in_number(choice("0", "0.0", "-0", "00")),
    "huge": in_number(choice(*HUGE)),
    "float_for_int": in_number(around("{}.0", "{}.5", "{}e0", "{}e1", "{}.", "{}.0000000001")),
    "bool": replace_cell("", choice("True", "true", "False"), choice("true", "false")),
    "empty_cell": replace_cell("", choice("", " ", "\t"), choice('""', "[]", "{}")),
    "null": replace_cell("", choice("null", "None", "NA", "NULL", "NaT", "-"), choice("null", '"null"', "None")),
    "text_in_number": in_number(around(*ODD_NUMBERS)),
    "number_for_text": replace_cell('"|[a-z]', choice("7", "1e3", "-1"), choice("7", "1.5", "[7]")),
    "odd_text": replace_cell('"|[a-z]', choice(*CSV_TEXTS), choice(*JSON_TEXTS)),
    "other_time": replace_cell(STAMP, _time, _time),
    "other_list": replace_cell(r"^\[", _list, _list),
    "wrong_nesting": replace_cell("", around("[{}]"), around(*NESTED)),
    "deep_nesting": replace_cell("", lambda rng, raw: "(" * 5000 + raw, _deep),
    "huge_line": replace_cell("", lambda rng, raw: raw + "7" * 300_000, lambda rng, raw: '"' + "x" * 300_000 + '"'),
}


def rows_out_of_order(sheet: Sheet, rng: Random) -> None:
    if rng.random() < 0.5:
        rng.shuffle(sheet.rows)
    else:
        one, other = rng.randrange(len(sheet.rows)), rng.randrange(len(sheet.rows))
        sheet.rows[one], sheet.rows[other] = sheet.rows[other], sheet.rows[one]


def rows_duplicated(sheet: Sheet, rng: Random) -> None:
    at = rng.randrange(len(sheet.rows))
    sheet.rows.insert(rng.choice((at, len(sheet.rows))), list(sheet.rows[at]))


def ids_duplicated(sheet: Sheet, rng: Random) -> None:
    """One cell of a row is copied into another row."""
    source, target = rng.randrange(len(sheet.rows)), rng.randrange(len(sheet.rows))
    at = rng.randrange(min(len(sheet.rows[source]), len(sheet.rows[target])))
    put(sheet, target, at, sheet.rows[source][at][1])


def columns_swapped(sheet: Sheet, rng: Random) -> None:
    """Two columns change places: their names (in json: of some rows), their cells in some rows, or both."""
    one, other = rng.sample(range(len(sheet.rows[0])), 2)
    names, cells = rng.choice(((True, False), (False, True), (True, True)))
    if sheet.header is not None and names:
        sheet.header[one], sheet.header[other] = sheet.header[other], sheet.header[one]
    for row in _some_rows(sheet, rng):
        first, second = row[one], row[other]
        if cells:
            row[one], row[other] = second, first
        if sheet.header is None and not (names and cells):
            row[one], row[other] = (first[0], second[1]), (second[0], first[1])


def _some_rows(sheet: Sheet, rng: Random) -> list[Row]:
    """All rows, or one."""
    return sheet.rows if rng.random() < 0.5 else [rng.choice(sheet.rows)]


def column_renamed(sheet: Sheet, rng: Random) -> None:
    name = rng.choice(sheet.header or [name for name, _ in sheet.rows[0]])
    other = rng.choice((name.upper(), name.lower(), name + " ", "x", "", name + "s", name.replace("_", "")))
    if sheet.header is not None:
        sheet.header[sheet.header.index(name)] = other
        return
    for row in _some_rows(sheet, rng):
        row[:] = [(other if key == name else key, raw) for key, raw in row]


def column_missing(sheet: Sheet, rng: Random) -> None:
    at = rng.randrange(len(sheet.rows[0]))
    if sheet.header is not None and rng.random() < 0.7:
        del sheet.header[at]
    for row in _some_rows(sheet, rng):
        del row[at : at + 1]


def column_added(sheet: Sheet, rng: Random) -> None:
    at = rng.randrange(len(sheet.rows[0]) + 1)
    if sheet.header is not None and rng.random() < 0.7:
        sheet.header.insert(at, "extra")
    for row in _some_rows(sheet, rng):
        row.insert(at, ("extra", "1"))


def column_repeated(sheet: Sheet, rng: Random) -> None:
    """In json: a name that stands twice in an object."""
    at, target = rng.randrange(len(sheet.rows[0])), rng.randrange(len(sheet.rows[0]) + 1)
    if sheet.header is not None:
        sheet.header.insert(target, sheet.header[at])
    for row in sheet.rows if sheet.header is not None else _some_rows(sheet, rng):
        if at < len(row):
            row.insert(target, (row[at][0], row[rng.randrange(len(row))][1]))


ROWS: dict[str, Callable[[Sheet, Random], None]] = {
    **CELLS,
    **{function.__name__: function for function in (
        rows_out_of_order, rows_duplicated, ids_duplicated, columns_swapped, column_renamed, column_missing,
        column_added, column_repeated,
    )},
}  # fmt: skip
