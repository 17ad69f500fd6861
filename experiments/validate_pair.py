"""BiLD decodes in earnest on the recorded messages: how far its rates are from those of what was recorded.

    tokenyard validate pair --answers OUTPUT.partial.jsonl --messages 12 --output FILE.json

What `tokenyard trace pair` records supposes the large model's own answer before each token. Here the small model goes
on from what stands, its own tokens among it, and the answer is what comes of it. Exits are aligned as they were, by
the answers that the recording has left behind. Written are counts, no text.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tqdm import tqdm

from experiments.papers.bild.tables import Counts, replayed
from experiments.record_pair import Options, Pair, settings
from profiles.machine import today
from profiles.measuring.journal import Journal
from traces.formats.parquet import read_table
from traces.pair import SHIPPED
from traces.text import chitchat

THRESHOLDS = ((0.3, 5.0), (0.6, 5.0), (0.6, 2.0))  # fallback, rollback
SMALL = ((3, True), (28, True), (28, False))  # layers, aligned
LOOKAHEAD = 10


class Models:
    """The large model and its first layers, each with the KV of what stands."""

    def __init__(self, pair: Pair, layers: int, aligned: Any, prompt: Any) -> None:
        from transformers import DynamicCache

        self.model, self.layers = pair.model, {"small": layers, "large": pair.model.config.num_hidden_layers}
        self.aligned = aligned
        self.caches = {name: DynamicCache() for name in self.layers}
        self.ids: list[int] = prompt[0].tolist()

    def logits(self, name: str) -> Any:
        """What model `name` says after each token that it has not seen."""
        import torch

        cache = self.caches[name]
        new = torch.tensor([self.ids[cache.get_seq_length() :]])
        self.model.config.num_hidden_layers = self.layers[name]
        try:
            hidden = self.model.model(new, past_key_values=cache, use_cache=True).last_hidden_state
        finally:
            self.model.config.num_hidden_layers = self.layers["large"]
        seen = hidden[0, -LOOKAHEAD - 1 :]
        if name == "small" and self.aligned is not None:
            seen = seen @ self.aligned[:-1] + self.aligned[-1]
        return self.model.lm_head(seen)

    def cut(self, tokens: int) -> None:
        """Let the first `tokens` stand alone, of which the last has been seen by nobody."""
        del self.ids[tokens:]
        for cache in self.caches.values():
            if (more := cache.get_seq_length() - (tokens - 1)) > 0:
                cache.crop(-more)


def decode(models: Models, end: int, fallback: float, rollback: float, most: int) -> dict[str, int]:
    """The counts of one answer of at most `most` tokens (`tables.Counts`)."""
    begin = len(models.ids)
    models.ids.append(int(models.logits("large")[-1].argmax()))
    counts = dict.fromkeys(("calls", "drafted", "rollbacks", "differing"), 0)
    while models.ids[-1] != end and len(models.ids) - begin < most:
        start = len(models.ids)
        while models.ids[-1] != end and len(models.ids) - start < LOOKAHEAD and len(models.ids) - begin < most:
            probability, choice = models.logits("small")[-1].softmax(-1).max(-1)
            counts["drafted"] += 1
            if float(probability) < fallback:
                break
            models.ids.append(int(choice))
        run = models.ids[start:]
        large = models.logits("large")[-len(run) - 1 :].log_softmax(-1)
        surprise = [-float(large[place, token]) for place, token in enumerate(run)]
        back = next((place for place, nats in enumerate(surprise) if nats > rollback), None)
        kept = len(run) if back is None else back
        counts["calls"] += 1
        counts["rollbacks"] += back is not None
        counts["differing"] += sum(int(large[place].argmax()) != run[place] for place in range(kept))
        models.ids[start + kept :] = [int(large[kept].argmax())]
        models.cut(start + kept + 1)
        if end in models.ids[start:]:
            del models.ids[models.ids.index(end, start) + 1 :]
    return {"tokens": min(len(models.ids) - begin, most) - 1, **counts}


def main() -> None:
    """Decode, count, and write both counts by small model and thresholds."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=12)
    parser.add_argument("--answers", type=Path, required=True, help="what the recording has left beside its output")
    parser.add_argument("--recording", type=Path, default=SHIPPED)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    made = read_table(given.recording, "pair").attrs["provenance"]
    same = {name: made[name] for name in ("model", "seed", "threads", "batch", "max_tokens", "messages", "calibration")}
    options = Options(**same, exits=tuple(dict.fromkeys(layers for layers, _ in SMALL)), output="none")
    pair, texts, rows = Pair(options), chitchat.messages(), []
    answers = Journal(given.answers, settings(options)).events
    others = answers[options.messages : options.messages + options.calibration]
    maps = pair.align([(texts[one["message_id"]], one["output_ids"]) for one in others])
    keys, end = [one["message_id"] for one in answers[: given.messages]], pair.tokenizer.eos_token_id
    with torch.inference_mode():
        prompts = [pair.prompts([texts[key]])["input_ids"] for key in keys]
        for (layers, aligned), (fallback, rollback) in tqdm([(one, pairs) for one in SMALL for pairs in THRESHOLDS]):
            found = maps[layers] if aligned else None
            each = [
                decode(Models(pair, layers, found, prompt), end, fallback, rollback, options.max_tokens)
                for prompt in prompts
            ]
            said = replayed(layers, aligned, fallback, rollback, messages=keys, path=given.recording)
            rows.append(
                {
                    "layers": layers,
                    "aligned": aligned,
                    "fallback_below": fallback,
                    "rollback_above": rollback,
                    "closed_loop": {name: sum(one[name] for one in each) for name in Counts._fields},
                    "recorded": {name: sum(getattr(one, name) for one in said) for name in Counts._fields},
                }
            )
    told = {**settings(options), "messages": given.messages, "date": today(), "lookahead": LOOKAHEAD, "rows": rows}
    given.output.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
