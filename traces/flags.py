"""Settings of a run in what the trace commands say, by the names that those commands have for them."""

from __future__ import annotations

import re

_PATTERNS = (
    (r"trace\.skip_bad=true \(--skip-bad on a command line\)", "--skip-bad"),
    (r"trace\.(skip_bad|sort)=true", lambda found: f"--{found[1].replace('_', '-')}"),
    (r"trace\.columns\.(\w+)", r"--columns \1=..."),
    (r"trace\.(unit|separator|id_tokens)=", lambda found: f"--{found[1].replace('_', '-')} "),
    (r"trace\.(unit|separator|id_tokens)\b", lambda found: f"--{found[1].replace('_', '-')}"),
    (r" \(trace\.rate\)", ""),
)


def as_flags(text: object) -> str:
    """`text` with the flags of a command line (`--unit ms`) in place of the settings of a run (`trace.unit=ms`)."""
    said = str(text)
    for pattern, flag in _PATTERNS:
        said = re.sub(rf"(?<![\w./]){pattern}" if pattern[0] == "t" else pattern, flag, said)
    return said
