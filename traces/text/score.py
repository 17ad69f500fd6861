"""Score prompts on RT-LM's six kinds of uncertainty, and show the words that each rule counts.

    tokenyard trace score "Rice flies like sand"
    tokenyard trace score --scorer words "Rice flies like sand"    # word lists alone: no parser, and no words to show
    tokenyard trace score --json prompts.txt                       # a line a prompt; - for standard input

The rules are this project's own: docs/text-features.md. Without --json, a line of a file gives a line: scores, text.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from traces.kinds import KINDS
from traces.text.parser import UnknownModelError, parse
from traces.text.scoring import SCORERS, score_texts, triggers


def read_texts(prompt: str) -> tuple[list[str], bool]:
    """The texts that `prompt` names, and whether it named lines (of a file, of standard input) or is a text itself."""
    if prompt == "-":
        return sys.stdin.read().splitlines(), True
    if len(prompt) < 256 and Path(prompt).is_file():
        return Path(prompt).read_text(encoding="utf-8").splitlines(), True
    return [prompt], False


def scored(texts: list[str], scorer: str, progress: bool) -> list[dict[str, Any]]:
    """For each text, its scores by kind and, of the parser, the words behind them."""
    if scorer == "parser":
        found = [triggers(doc) for doc in parse(texts, progress)]
        return [
            {"text": text, "scores": {kind: len(words) for kind, words in one.items()}, "words": one}
            for text, one in zip(texts, found, strict=True)
        ]
    rows = score_texts(texts, scorer, progress).tolist()
    return [{"text": text, "scores": dict(zip(KINDS, row, strict=True))} for text, row in zip(texts, rows, strict=True)]


def show(row: dict[str, Any], alone: bool) -> str:
    """One prompt's scores: a line a kind if it is `alone`, else one line."""
    scores, words = row["scores"], row.get("words", {})
    if alone:
        return "\n".join(f"{kind:<12}{scores[kind]:<4g}{', '.join(words.get(kind, []))}".rstrip() for kind in KINDS)
    return "\t".join([*(f"{scores[kind]:g}" for kind in KINDS), row["text"]])


def main(arguments: list[str] | None = None) -> int:
    """Print the scores; 1 without the parser, for a file that cannot be read and for a text that is too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompt", nargs="+", help="a text, a file of one text a line, or - for standard input")
    parser.add_argument("--scorer", choices=SCORERS, default="parser", help="default: parser")
    parser.add_argument("--json", action="store_true", help="one json object a prompt: text, scores and words")
    options = parser.parse_args(arguments)
    try:
        texts, lines = read_texts(" ".join(options.prompt))
        rows = scored(texts, options.scorer, progress=lines and sys.stderr.isatty())
    except (ModuleNotFoundError, UnknownModelError, OSError, ValueError) as error:
        print(f"tokenyard trace score: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    if lines and not options.json:
        print("\t".join([*KINDS, "text"]))
    for row in rows:
        print(json.dumps(row, ensure_ascii=False) if options.json else show(row, alone=not lines))
    return 0
