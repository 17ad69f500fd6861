"""Score a prompt on the six kinds of uncertainty: `python -m traces.text "Rice flies like sand"`."""

from __future__ import annotations

import sys

from traces.text.kinds import KINDS
from traces.text.word_rules import rule_scores


def main(arguments: list[str]) -> int:
    """Print the scores of the prompt in `arguments`."""
    for kind, score in zip(KINDS, rule_scores(" ".join(arguments)), strict=True):
        print(f"{kind:<12}{score:g}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
