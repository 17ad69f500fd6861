"""Record a trace: a real model answers human chat messages, one at a time, until its own end of sequence.

    python -m experiments.record model=smollm2-135m messages=600 threads=1

Each answer is appended to `<output>.partial.jsonl` as it ends, so a killed recording resumes where it stopped; the
finished trace is a parquet file of message ids, token counts and measured seconds, without any text. Its text is read
from the package `chitchat-dataset` when asked for (`traces.chitchat`).
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from profiles import models
from traces import chitchat


@dataclass(frozen=True)
class Answer:
    """One recorded request: lengths in tokens, times in seconds, and how the answer ended (`stop` or `length`)."""

    message_id: str
    prompt_tokens: int
    output_tokens: int
    first_token_seconds: float
    seconds: float
    finish_reason: str


def answer(model: Any, tokenizer: Any, message_id: str, text: str, max_tokens: int) -> Answer:
    """Let `model` answer `text` greedily and time it: the prompt's pass, then one pass a token."""
    import torch

    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )["input_ids"]
    start = time.perf_counter()
    with torch.inference_mode():
        out = model(prompt, use_cache=True, logits_to_keep=1)
        token = out.logits[:, -1].argmax(-1, keepdim=True)
        first_token_seconds = time.perf_counter() - start
        produced = 1
        while token.item() != tokenizer.eos_token_id and produced < max_tokens:
            out = model(token, past_key_values=out.past_key_values, use_cache=True, logits_to_keep=1)
            token = out.logits[:, -1].argmax(-1, keepdim=True)
            produced += 1
    seconds = time.perf_counter() - start
    reason = "stop" if token.item() == tokenizer.eos_token_id else "length"
    return Answer(message_id, prompt.shape[1], produced, first_token_seconds, seconds, reason)
