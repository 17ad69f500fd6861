"""Record a trace: a real model answers human chat messages, one at a time, until its own end of sequence.

    tokenyard trace record model=smollm2-135m messages=600 threads=1

Each answer is appended to `<output>.partial.jsonl` as it ends, so a killed recording resumes where it stopped; the
finished recording is a parquet file of message ids, token counts, measured seconds and rule scores, without any text
(`traces.recorded` reads it). The partial file stays: asked for more messages, the same command goes on from it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pandas as pd
from omegaconf import DictConfig
from tqdm import tqdm

from profiles.machine import cpu_name, library_versions, today
from profiles.measuring import models
from profiles.measuring.journal import Journal
from traces.recorded import with_scores, write_recording
from traces.text import chitchat

DTYPE = "float32"
SCORER = "parser"  # of the rule scores, which no answer depends on
Ask = Callable[[str, str], "Answer"]  # message id, its text -> the model's answer


@dataclass(frozen=True)
class Options:
    """What to record: `messages` of the chat data, in the order of `seed`, answered on `threads` processor threads."""

    model: str
    messages: int
    seed: int
    threads: int
    max_tokens: int
    output: str
    restart: bool = False

    def __post_init__(self) -> None:
        for name in ("messages", "threads", "max_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def partial(self) -> Path:
        """Where answers are kept until, and after, the recording is complete."""
        return Path(f"{self.output}.partial.jsonl")


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


def selection(seed: int, messages: int) -> list[str]:
    """Ids of the messages to answer: the first ones of a seeded order of all candidates, so more only append."""
    candidates = chitchat.candidates()
    if messages > len(candidates):
        raise ValueError(f"messages is {messages}, the chat data has {len(candidates)} candidates")
    return [str(key) for key in np.random.default_rng(seed).permutation(np.array(candidates, dtype=object))[:messages]]


def settings(options: Options) -> dict[str, Any]:
    """All that the lengths and the seconds depend on; a recording resumes only under equal settings."""
    found = models.source(options.model)
    return {
        "model": options.model,
        "weights": found.weights,
        "decoding": "greedy",
        "dtype": DTYPE,
        "threads": options.threads,
        "max_tokens": options.max_tokens,
        "population": f"chitchat-dataset messages of {chitchat.MIN_WORDS} to {chitchat.MAX_WORDS} words",
        "seed": options.seed,
        "versions": library_versions("torch", "transformers", "gguf", found.package, "chitchat-dataset", "numpy"),
        "processor": cpu_name(),
    }


def load(options: Options) -> Ask:
    """Load the model, warm it, and return what asks it one message."""
    import torch

    torch.set_num_threads(options.threads)
    model = models.load(options.model, dtype=DTYPE)
    tokenizer = models.load_tokenizer(options.model)
    answer(model, tokenizer, "warm-up", "hello there you", 8)
    return lambda message_id, text: answer(model, tokenizer, message_id, text, options.max_tokens)


def record(options: Options, load: Callable[[Options], Ask] = load) -> pd.DataFrame:
    """Answer the messages that are still to answer, then write the recording; the model is loaded only if needed."""
    stated = settings(options)
    wanted = selection(options.seed, options.messages)
    journal = Journal(options.partial, stated, options.restart)
    answered = [event["message_id"] for event in journal.events]
    _check_order(answered, selection(options.seed, max(options.messages, len(answered))), options.partial)
    if len(answered) < len(wanted):
        ask, texts = load(options), chitchat.messages()
        for message_id in tqdm(wanted[len(answered) :], initial=len(answered), total=len(wanted), unit="message"):
            journal.append(asdict(ask(message_id, texts[message_id])))
    answers = with_scores(pd.DataFrame(journal.events[: len(wanted)]), SCORER)
    made = {"scorer": SCORER, "messages": len(wanted), "date": today()}
    write_recording(answers, Path(options.output), {**stated, **made})
    return answers


def _check_order(answered: Sequence[str], wanted: Sequence[str], path: Path) -> None:
    for at, (found, due) in enumerate(zip(answered, wanted, strict=False)):
        if found != due:
            raise ValueError(f"{path}, answer {at + 1}: message {found!r} where the seed's order has {due!r}")


@hydra.main(version_base="1.3", config_path="conf", config_name="record")
def main(config: DictConfig) -> None:
    """Record what the config says."""
    try:
        options = Options(**{str(name): value for name, value in config.items()})
        answers = record(options)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"tokenyard trace record: {error}")
    except KeyboardInterrupt:
        print("interrupted: the answers so far are kept, the same command goes on", file=sys.stderr)
        sys.exit(130)
    cut = (answers["finish_reason"] == "length").sum()
    print(f"{options.output}: {len(answers)} answers, {cut} of them cut at {options.max_tokens} tokens")
