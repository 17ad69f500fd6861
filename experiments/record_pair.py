"""Record a trace of agreements: a real model answers chat messages, and its own first layers say what they would.

    tokenyard trace pair exits=[3,6,10,20,28] messages=200 threads=1

The large model answers greedily. Then one pass over prompt and answer gives, for each early exit (the first layers of
the same model, its last normalization and its LM head) and each output token, the probability of its first choice, the
nats of surprise of the large model at that choice, and whether it is the large model's own first choice. Exits are as
they are, untrained, or aligned: a linear map before the head, which makes of the exit's state the large model's last
one with the least squares over the answers to `calibration` other messages.

Answers are appended to `<output>.partial.jsonl` as they end, so a killed recording resumes where it stopped; the
finished recording is a parquet file of ids, counts and those figures, without any text (`traces.pair` reads it).
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pandas as pd
from omegaconf import DictConfig
from tqdm import tqdm

from experiments.record_trace import DTYPE, selection
from profiles.machine import command, cpu_name, library_versions, today
from profiles.measuring import models
from profiles.measuring.journal import Journal
from traces.pair import columns_of, write_pair
from traces.text import chitchat

RIDGE = 1.0  # added to the squares of each column of an exit's normalized states, whose elements are of size 1


@dataclass(frozen=True)
class Options:
    """What to record: `messages` of the chat data, in the order of `seed`, with the small models that `exits` name.

    The `calibration` messages that come next in that order are those that exits are aligned by. Answers are made
    `batch` at a time.
    """

    model: str
    exits: tuple[int, ...]
    messages: int
    calibration: int
    seed: int
    threads: int
    batch: int
    max_tokens: int
    output: str
    restart: bool = False

    def __post_init__(self) -> None:
        for name in ("messages", "calibration", "threads", "batch", "max_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.exits or any(layers < 1 for layers in self.exits) or len(set(self.exits)) < len(self.exits):
            raise ValueError(f"exits must be numbers of layers from 1, each once, got {list(self.exits)}")

    @property
    def partial(self) -> Path:
        """Where answers are kept until, and after, the recording is complete."""
        return Path(f"{self.output}.partial.jsonl")


class Pair:
    """The large model, and what it says of itself after some of its layers."""

    def __init__(self, options: Options) -> None:
        import torch

        torch.set_num_threads(options.threads)
        self.options = options
        self.model: Any = models.load(options.model, dtype=DTYPE)
        self.tokenizer = models.load_tokenizer(options.model)
        self.tokenizer.padding_side = "left"

    def prompts(self, texts: Sequence[str]) -> Any:
        """Token ids of messages as the model is given them, padded on the left, with their mask."""
        return self.tokenizer.apply_chat_template(
            [[{"role": "user", "content": text}] for text in texts],
            add_generation_prompt=True,
            padding=True,
            return_tensors="pt",
            return_dict=True,
        )

    def answers(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """The model's own answers: its first choices, until its end of sequence or so many tokens."""
        import torch

        prompts, end = self.prompts(texts), self.tokenizer.eos_token_id
        width = prompts["input_ids"].shape[1]
        with torch.inference_mode():
            out = self.model.generate(
                **prompts,
                do_sample=False,
                max_new_tokens=self.options.max_tokens,
                eos_token_id=end,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        made = []
        for mask, row in zip(prompts["attention_mask"], out[:, width:].tolist(), strict=True):
            ids = row[: row.index(end) + 1] if end in row else row
            reason = "stop" if ids[-1] == end else "length"
            made.append({"prompt_tokens": int(mask.sum()), "output_ids": ids, "finish_reason": reason})
        return made

    def states(self, text: str, answer: Sequence[int]) -> tuple[dict[int, Any], Any]:
        """Normalized states after each exit, and the large model's last ones, from which each answer's token comes."""
        import torch

        prompt = self.prompts([text])["input_ids"]
        with torch.inference_mode():
            ids = torch.cat([prompt, torch.tensor([answer])], 1)[:, :-1]
            hidden = self.model.model(ids, output_hidden_states=True).hidden_states
            at = slice(-len(answer), None)
            exits = {layers: self.model.model.norm(hidden[layers][0, at]) for layers in self.options.exits}
        return exits, hidden[-1][0, at]

    def align(self, messages: Sequence[tuple[str, Sequence[int]]]) -> dict[int, Any]:
        """For each exit the affine map of its states to the large model's last ones, by least squares."""
        import torch

        rows = [self.states(text, answer) for text, answer in messages]
        last = torch.cat([large for _, large in rows]).double()
        maps = {}
        for layers in self.options.exits:
            found = torch.cat([exits[layers] for exits, _ in rows]).double()
            found = torch.cat([found, torch.ones(len(found), 1)], 1)
            squares = found.T @ found + RIDGE * torch.eye(found.shape[1])
            maps[layers] = torch.linalg.solve(squares, found.T @ last).float()
        return maps

    def figures(self, text: str, answer: Sequence[int], maps: dict[int, Any]) -> dict[str, list[float]]:
        """What each exit, and each aligned one, says at each token of the answer, given what stands before it."""
        import torch

        said: dict[str, list[float]] = {}
        with torch.inference_mode():
            exits, last = self.states(text, answer)
            large = self.model.lm_head(last).log_softmax(-1)
            for layers, state in exits.items():
                aligned = state @ maps[layers][:-1] + maps[layers][-1]
                for name, seen in ((f"{layers}", state), (f"{layers}_aligned", aligned)):
                    probability, choice = self.model.lm_head(seen).softmax(-1).max(-1)
                    apart = -large.gather(1, choice[:, None])[:, 0]
                    agrees = choice == torch.tensor(answer)
                    columns = zip(columns_of(name), (probability, apart, agrees), strict=True)
                    said |= {column: cells.tolist() for column, cells in columns}
        return said


def settings(options: Options) -> dict[str, Any]:
    """All that the answers depend on; a recording resumes only under equal settings."""
    found = models.source(options.model)
    gguf = models.weights_file(options.model)
    return {
        "model": options.model,
        "weights": found.weights,
        "weights_sha256": hashlib.sha256(gguf.read_bytes()).hexdigest(),
        "decoding": "greedy",
        "dtype": DTYPE,
        "threads": options.threads,
        "batch": options.batch,
        "max_tokens": options.max_tokens,
        "population": f"chitchat-dataset messages of {chitchat.MIN_WORDS} to {chitchat.MAX_WORDS} words",
        "seed": options.seed,
        "versions": library_versions("torch", "transformers", "gguf", found.package, "chitchat-dataset", "numpy"),
        "processor": cpu_name(),
    }


def record(options: Options, load: type[Pair] = Pair) -> pd.DataFrame:
    """Answer the messages that are still to answer, then see what the exits say, and write the recording."""
    stated, texts, pair = settings(options), chitchat.messages(), load(options)
    wanted = selection(options.seed, options.messages + options.calibration)
    journal = Journal(options.partial, stated, options.restart)
    done = [event["message_id"] for event in journal.events]
    if done != wanted[: len(done)] and wanted != done[: len(wanted)]:
        raise ValueError(f"{options.partial} holds other messages than the seed's order has; restart=true discards it")
    for start in tqdm(range(len(done), len(wanted), options.batch), unit="batch"):
        keys = wanted[start : start + options.batch]
        for key, answer in zip(keys, pair.answers([texts[key] for key in keys]), strict=True):
            journal.append({"message_id": key, **answer})
    events = journal.events[: len(wanted)]
    kept, others = events[: options.messages], events[options.messages :]
    maps = pair.align([(texts[event["message_id"]], event["output_ids"]) for event in others])
    rows = []
    for event in tqdm(kept, unit="answer"):
        said = pair.figures(texts[event["message_id"]], event["output_ids"], maps)
        rows.append({**event, "output_tokens": len(event["output_ids"]), **said})
    answers = pd.DataFrame(rows)
    made = {
        "small": "early exits of the same model: its last normalization and LM head after so many layers, untrained, "
        "or aligned by a linear map before the head (least squares over the answers to other messages)",
        "exits": [name for layers in options.exits for name in (f"{layers}", f"{layers}_aligned")],
        "messages": len(kept),
        "calibration": len(others),
        "date": today(),
        "command": command("trace pair"),
    }
    write_pair(answers, Path(options.output), {**stated, **made})
    return answers


@hydra.main(version_base="1.3", config_path="conf", config_name="record_pair")
def main(config: DictConfig) -> None:
    """Record what the config says."""
    try:
        given = {str(name): value for name, value in config.items()}
        options = Options(**{**given, "exits": tuple(config.exits)})
        answers = record(options)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"tokenyard trace pair: {error}")
    except KeyboardInterrupt:
        print("interrupted: the answers so far are kept, the same command goes on", file=sys.stderr)
        sys.exit(130)
    for layers in options.exits:
        plain, aligned = (
            100 * np.concatenate(answers[columns_of(name)[2]].tolist()).mean()
            for name in (f"{layers}", f"{layers}_aligned")
        )
        print(f"after {layers} layers: {plain:.1f} % of the large model's tokens, aligned {aligned:.1f} %")
    print(f"{options.output}: {len(answers)} answers")
