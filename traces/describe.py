"""Say and draw what is in a trace: requests, rate, burstiness, lengths, clients, sessions, reuse of prefixes."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from traces.catalogue import CATALOGUE, PublicTrace
from traces.checksum import sha256
from traces.doubt import doubts
from traces.flags import as_flags
from traces.ingredients import INGREDIENTS
from traces.locate import public_file
from traces.schema import BY_MODEL, TraceError
from traces.sniff import FORMATS, Format, known_format, told
from traces.summary import summary

EPILOG = """examples:
  tokenyard trace describe azure_2023_conv                     (a public trace: tokenyard trace list)
  tokenyard trace describe mine.parquet --draw mine.png
  tokenyard trace describe requests.jsonl --unit ms --skip-bad (stamps in ms; bad rows are counted, and left out)
  tokenyard trace describe prompts.json --chars-per-token 4 --json
"""
FIGURES = Path("results") / "traces"
COLUMNS = ("mean", "p50", "p90", "p99", "max")
TABLED = {  # what stands in the table of quantiles, and its unit
    "prompt_tokens": "prompt, tokens",
    "output_tokens": "output, tokens",
    "max_tokens": "cap of the output, tokens",
    "new_tokens": "new in a prompt, tokens",
    "pause_calls": "calls of any request",
    "pause_seconds": "call, s",
    "pause_total": "all of one that calls, s",
    "pause_returned": "a call returns, tokens",
    "session_calls": "calls of a session",
    "session_context": "longest context, tokens",
    "tool_seconds": "gap after a tool, s",
    "user_seconds": "gap after a user, s",
}
SINGLE = {  # the other figures: what each is called, and how it is written
    "rows": ("requests", "{:,.0f}"),
    "span": ("span", "{:,.2f} s"),
    "rate": ("rate", "{:,.3f} requests/s"),
    "gap_cv": ("burstiness (CV of the gaps)", "{:,.2f}"),
    "clients": ("clients", "{:,.0f}"),
    "client_largest_share": ("the largest client's share", "{:.1%}"),
    "tasks": ("tasks", "{:,.0f}"),
    "task_largest_share": ("the largest task's share", "{:.1%}"),
    "sessions": ("sessions", "{:,.0f}"),
    "turns_mean": ("turns of a session, mean", "{:,.2f}"),
    "turns_max": ("turns of a session, most", "{:,.0f}"),
    "turns_one": ("sessions of one turn", "{:.1%}"),
    "repeated": ("sessions that repeat others", "{:,.0f}"),
    "sub_agents": ("sessions of sub-agents", "{:,.0f}"),
    "pauses": ("calls (pauses)", "{:,.0f}"),
    "paused_share": ("requests that call out", "{:.1%}"),
    "prompt_blocks": ("blocks of the prompts", "{:,.0f}"),
    "block_reuse": ("block reuse, infinite cache", "{:.1%}"),
    "token_reuse": ("token reuse, infinite cache", "{:.1%}"),
}


def find(name: str) -> tuple[Path, PublicTrace | None]:
    """The file of the public trace called `name`, or else at the path `name`, and its entry in the catalogue if any."""
    file = next((entry.file for entry in CATALOGUE if entry.name == name), name)
    path = public_file(file)
    return path, next((entry for entry in CATALOGUE if Path(entry.file).name == path.name), None)


def describe(
    path: Path,
    form: Format,
    skip_bad: bool = False,
    chars_per_token: float | None = None,
    unit: str | None = None,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The figures of the file at `path`, and the table that they are of."""
    for ingredient in INGREDIENTS:
        if ingredient.name == form.name:
            table = ingredient.read(path)
            return {"is": ingredient.use, **ingredient.figures(table)}, table
    count = None if chars_per_token is None else lambda text: max(1, round(len(text) / chars_per_token))
    table = form.load(path, skip_bad=skip_bad, unit=unit, count_tokens=count)
    return {
        **summary(table),
        "skipped": table.attrs.get("skipped", {}),
        "doubts": [as_flags(doubt) for doubt in doubts(table)],
    }, table


def human(facts: dict[str, str], figures: dict[str, Any]) -> str:
    """`facts` and `figures` as aligned lines and tables."""
    lines = [f"{name:<29}{fact}" for name, fact in facts.items()]
    if "is" in figures:
        lines.append(f"{'what':<29}{figures['is']}")
        groups = {name: group for name, group in figures.items() if isinstance(group, dict)}
        lines += _grid(groups) if groups else []
    for name, (label, how) in SINGLE.items():
        if name in figures:
            lines.append(f"{label:<29}{_number(figures[name], how)}")
    lines += [f"{'doubtful':<29}{doubt}" for doubt in figures.get("doubts", ())]
    for name, how in (("accuracy", "{:.1%}"), ("latency_mean", "{:.4f} s")):
        if name in figures:
            lines.append(f"{name.replace('_', ', '):<29}{_number(figures[name], how)}")
    models = [name.removesuffix("_mean") for name in figures if name.startswith(BY_MODEL) and name.endswith("_mean")]
    labels = TABLED | {name: f"{name.removeprefix(BY_MODEL)}: output, tokens" for name in models}
    tabled = [name for name in labels if f"{name}_mean" in figures]
    if tabled:
        lines += ["", f"{'':<25}" + "".join(f"{column:>12}" for column in COLUMNS)]
    for name in tabled:
        cells = [
            _number(figures[f"{name}_{column}"], "{:,.0f}" if labels[name].endswith("tokens") else "{:,.4g}")
            for column in COLUMNS
        ]
        lines.append(f"{labels[name]:<25}" + "".join(f"{cell:>12}" for cell in cells))
    if "confusion" in figures:
        lines += ["", "requests by true class (down) and predicted class (across)"]
        lines += ["".join(f"{count:>10,}" for count in row) for row in figures["confusion"]]
    for reason, count in figures.get("skipped", {}).items():
        lines.append(f"skipped: {count:,} rows: {reason}")
    return "\n".join(lines)


def _grid(groups: dict[str, dict[str, float]]) -> list[str]:
    """A line for each group, a column for each of its figures."""
    names = list(next(iter(groups.values())))
    wide = max(len(group) for group in groups) + 2
    rows = [" " * wide + "  ".join(name.replace("_", " ") for name in names)]
    for group, found in groups.items():
        cells = [
            f"{_number(found[name], '{:.1%}' if name.endswith('_share') else '{:,.5g}'):>{len(name)}}" for name in names
        ]
        rows.append(f"{group:<{wide}}" + "  ".join(cells))
    return ["", *rows]


def _number(value: float, how: str) -> str:
    return "not defined" if math.isnan(value) else how.format(value)


def _json(figures: Any) -> Any:
    """`figures` with None for NaN, which json has not."""
    if isinstance(figures, dict):
        return {name: _json(value) for name, value in figures.items()}
    return None if isinstance(figures, float) and math.isnan(figures) else figures


def _checksum(path: Path, entry: PublicTrace | None) -> str:
    if entry is None or entry.sha256 is None:
        return "no checksum of a publisher to compare with"
    found = sha256(path)
    return "the publisher's" if found == entry.sha256 else f"{found}, NOT the publisher's {entry.sha256}"


def main(arguments: list[str] | None = None) -> int:
    """Describe the trace that `arguments` name."""
    parser = argparse.ArgumentParser(
        description="Print what is in a trace: requests, span, rate, burstiness, quantiles of the lengths, clients,\n"
        "sessions, pauses, the reuse of prefixes; and draw it. Times are in seconds, lengths in tokens. A file of\n"
        "which traces are made is described too.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("trace", metavar="NAME|PATH", help="a public trace (tokenyard trace list), or a file")
    parser.add_argument(
        "--format", metavar="F", help=f"the format, if not told by the file: {', '.join(f.name for f in FORMATS)}"
    )
    parser.add_argument(
        "--chars-per-token", type=float, metavar="N",
        help="take a text's tokens for its characters / N, an estimate, where a file of prompts has no counts",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one json object")
    parser.add_argument("--draw", type=Path, metavar="FILE.png", help=f"where to draw (default: {FIGURES}/NAME.png)")
    parser.add_argument("--unit", metavar="U", help="of the stamps: s, ms, us or ns (default: the format's own)")
    parser.add_argument("--skip-bad", action="store_true", help="leave out bad rows and count them, rather than stop")
    options = parser.parse_args(arguments)
    if options.chars_per_token is not None and not options.chars_per_token > 0:
        parser.error(f"--chars-per-token must be positive, got {options.chars_per_token}")
    try:
        path, entry = find(options.trace)
        if options.format:
            form = known_format(options.format)
        else:
            form = known_format(entry.format) if entry and options.trace == entry.name else told(path)
        figures, table = describe(path, form, options.skip_bad, options.chars_per_token, options.unit)
        picture = options.draw or FIGURES / f"{entry.name if entry else path.name.split('.')[0]}.png"
        title = f"{entry.name}: {entry.what}" if entry else path.name
        from traces.plot import draw

        draw(table, form, title, picture)
        facts = {"file": str(path), "format": f"{form.name} ({form.what})", "sha256": _checksum(path, entry)}
        if form.texts:
            facts["tokens"] = f"characters / {options.chars_per_token:g}, an estimate"
    except (TraceError, OSError) as error:
        print(as_flags(error), file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({**facts, "figure": str(picture), **_json(figures)}))
    else:
        print(human(facts, figures))
        print(f"{'drawn':<29}{picture}")
    return 0


if __name__ == "__main__":
    sys.exit("this is now: tokenyard trace describe")
