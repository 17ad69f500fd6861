"""Write any trace as this project's parquet, whatever its format."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import textwrap
from pathlib import Path
from typing import Any

import pandas as pd

from traces.checksum import sha256
from traces.doubt import doubts
from traces.flags import as_flags
from traces.formats import parquet, table
from traces.kinds import KINDS
from traces.locate import public_file
from traces.schema import COLUMNS, TraceError
from traces.sniff import FORMATS, known_format, told
from traces.summary import summary

FITTED = 100  # rows of which enough are kept for training to fit the default predictor
EPILOG = """examples:
  tokenyard trace convert requests.csv --to mine.parquet --unit ms \\
      --columns arrival=ts prompt_tokens=in output_tokens=out
  tokenyard trace convert log.jsonl.gz --to mine.parquet --columns arrival=time prompt_tokens=usage.prompt \\
      output_tokens=usage.completion client=user                 (a dotted name reaches into json objects)
  tokenyard trace convert BurstGPT_1.csv --to mine.parquet --skip-bad      (a known format, its failed rows left out)
then: tokenyard trace=parquet trace.path=mine.parquet predictor=prompt_length
"""


def options_of(arguments: list[str] | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description="Write a trace as this project's parquet, with where it came from. The file is of a known format,\n"
        "which is told by its header or keys, or any csv or json whose columns are named with --columns. Prints what\n"
        "was read and dropped, the span (s) and the rate (requests/s). Formats:\n"
        f"{textwrap.fill(', '.join(form.name for form in FORMATS if form.loader), 100)}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="the trace, plain or gzipped")
    parser.add_argument("--to", type=Path, required=True, metavar="OUT.parquet", help="where to write it")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--format", metavar="NAME", help="the format, if not told by the file")
    way.add_argument(
        "--columns", nargs="+", metavar="OURS=THEIRS",
        help=f"what the file calls arrival, prompt_tokens, output_tokens and any other of {', '.join(COLUMNS[3:])}",
    )  # fmt: skip
    parser.add_argument(
        "--unit", metavar="U", help="of the stamps: s, ms, us or ns (default: the format's own, else s)"
    )
    parser.add_argument("--skip-bad", action="store_true", help="leave out bad rows and count them, rather than stop")
    mapped = parser.add_argument_group("with --columns")
    mapped.add_argument("--separator", metavar="C", help="of a csv: comma, semicolon, tab, pipe or one character")
    mapped.add_argument("--sort", action="store_true", help="put the rows in the order of their arrivals")
    mapped.add_argument("--id-tokens", type=int, metavar="N", help="tokens that one of prompt_ids stands for")
    parser.add_argument(
        "--chars-per-token", type=float, metavar="N",
        help="take a text's tokens for its characters / N, an estimate, where a file of prompts has no counts",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if options.columns is None and (options.separator or options.sort or options.id_tokens):
        parser.error("--separator, --sort and --id-tokens go with --columns")
    for pair in options.columns or ():
        if "=" not in pair:
            parser.error(f"--columns takes OURS=THEIRS, such as arrival=ts, got {pair!r}")
    if options.chars_per_token is not None and not options.chars_per_token > 0:
        parser.error(f"--chars-per-token must be positive, got {options.chars_per_token}")
    return options


def read(path: Path, options: argparse.Namespace) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The trace in the file, and what it was read as."""
    if options.columns is not None:
        pairs = (pair.partition("=") for pair in options.columns)
        mapping = {ours: theirs for ours, _, theirs in pairs}
        more = {name: getattr(options, name) for name in ("unit", "separator", "sort", "id_tokens", "skip_bad")}
        return table.load(path, columns=mapping, **more), {"columns": mapping, **more}
    form = known_format(options.format) if options.format else told(path)
    ratio = options.chars_per_token
    count = None if ratio is None else lambda text: max(1, round(len(text) / ratio))
    more = {"unit": options.unit, "skip_bad": options.skip_bad}
    read_as = {"format": form.name, **more, **({"chars_per_token": ratio} if ratio else {})}
    return form.load(path, **more, count_tokens=count), read_as


def convert(path: Path, options: argparse.Namespace) -> str:
    """Write the file's trace where the options say; what was read, dropped and is doubted, a line each."""
    if options.to.exists() and options.to.samefile(path):
        raise TraceError(f"--to {options.to} is the file that is read: name another")
    found, read_as = read(path, options)
    skipped = found.attrs.get("skipped", {})
    given = {name: value for name, value in read_as.items() if value not in (None, False)}
    before = {"provenance": found.attrs["provenance"]} if "provenance" in found.attrs else {}
    source = {"source": path.name, "sha256": sha256(path), "read_as": given, "skipped": skipped, **before}
    parquet.write(found, options.to, source)
    figures = summary(found)
    lines = [f"read      {len(found) + sum(skipped.values()):,} rows of {path}"]
    lines += [f"dropped   {count:,}: {reason}" for reason, count in skipped.items()]
    if moved := found.attrs.get("out_of_order"):
        lines.append(f"sorted    {moved:,} rows stood after a later one")
    rate = "not defined" if not figures["span"] else f"{figures['rate']:,.3f} requests/s"
    lines.append(f"written   {len(found):,} requests, {', '.join(found.columns)}")
    lines.append(f"span      {figures['span']:,.3f} s, {rate}")
    lines += [f"doubtful  {as_flags(doubt)}" for doubt in doubts(found)]
    return "\n".join([*lines, f"to        {options.to}", f"then      {command(options.to, found)}"])


def command(path: Path, found: pd.DataFrame) -> str:
    """A command that runs on the parquet file at `path` which holds `found`, or describes it if nothing can run it.

    The default predictor is fitted to what its rules said of each prompt, the columns of `traces.kinds`.
    """
    if "pauses" in found:
        return f"tokenyard trace describe {shlex.quote(str(path))}"
    plain = re.fullmatch(r"[\w./-]+", str(path))
    quoted = str(path).replace('"', '\\"')
    where = f"trace.path={path}" if plain else shlex.quote(f'trace.path="{quoted}"')
    fitted = {*KINDS} <= {*found} and len(found) >= FITTED
    return f"tokenyard trace=parquet {where}{'' if fitted else ' predictor=prompt_length'}"


def main(arguments: list[str] | None = None) -> int:
    """Convert as `arguments` say."""
    options = options_of(arguments)
    try:
        told = convert(public_file(options.file), options)
    except (TraceError, OSError) as error:
        print(as_flags(error), file=sys.stderr)
        return 1
    print(told)
    return 0


if __name__ == "__main__":
    sys.exit("this is now: tokenyard trace convert")
