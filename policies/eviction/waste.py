"""What INFERCEPT calls waste: memory, in tokens, times the seconds for which it does nothing of use, token-seconds.

The paper counts bytes: these are they over M, the bytes of a token's KV, which all its terms have. A job has a context
of `context` tokens (C), the others that run have `others` (C_other), all of them `batch` (C_batch).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Costs:
    """What steps take: T_fwd(n) = `step_seconds` + n `token_seconds`; and T_swap(n) = n `swap_token_seconds`, s.

    `budget` is S, the tokens of a step beyond which it gains nothing.
    """

    token_seconds: float
    step_seconds: float
    swap_token_seconds: float
    budget: int

    def __post_init__(self) -> None:
        for name in ("token_seconds", "step_seconds"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not self.swap_token_seconds >= 1e-12:
            raise ValueError(f"swap_token_seconds must be 1e-12 at least, got {self.swap_token_seconds}")
        if not self.budget >= 1:
            raise ValueError(f"budget must be at least 1 token, got {self.budget}")

    def forward(self, tokens: float) -> float:
        """T_fwd: seconds of a step of so many tokens."""
        return self.step_seconds + self.token_seconds * tokens

    def chunk(self, running: int) -> int:
        """Tokens of a step that are left beside the `running` ones: a chunk of what is recomputed, one at least."""
        left = self.budget - running
        return left if left > 1 else 1

    def hidden(self, tokens: int) -> int:
        """N_i: tokens that can be swapped for nothing, behind a step of so many tokens, `budget` at most."""
        budget = self.budget
        return int(self.forward(tokens if tokens < budget else budget) / self.swap_token_seconds)


def discard(context: int, others: int, costs: Costs) -> float:
    """Equation 1: T_fwd(C) (C + C_other): what is recomputed lies there half done, and the others wait for it."""
    return costs.forward(context) * (context + others)


def preserve(context: int, seconds: float) -> float:
    """Equation 2: T_INT C: it is held for as long as the call takes, `seconds`."""
    return seconds * context


def swap(context: int, batch: int, costs: Costs) -> float:
    """Equation 3: 2 T_swap(C) C_batch: all wait for it to be sent and brought back."""
    return 2 * context * costs.swap_token_seconds * batch


def chunked_discard(context: int, others: int, chunk: int, costs: Costs) -> float:
    """Equation 4: T_fwd(C) C / 2 + n T_fwd(C/n) C_other: recomputed in n parts of `chunk` tokens at most.

    As the paper has it: that the steps in which the chunks ride would come anyway is not told.
    """
    if not context:
        return 0.0
    chunks = -(-context // chunk)
    return costs.forward(context) * context / 2 + chunks * costs.forward(context / chunks) * others


def released_discard(held: int, others: int, running: int, costs: Costs) -> float:
    """The w_d of the released scheduler_v2: `held` and `others` are tokens of whole blocks; `running` the step's.

    c_h = max(S - running, 1), n = max(ceil(held / c_h) - 1, 0) whole chunks, each a step of S, a last of held mod c_h:
    f(S) c_h n (n + 1) / 2 + a c_h n others + a last (others + last), where f(S) alone has what a step takes beside.
    """
    chunk = costs.chunk(running)
    whole, last = max(-(-held // chunk) - 1, 0), held % chunk
    own = costs.forward(costs.budget) * chunk * whole * (whole + 1) / 2
    return own + costs.token_seconds * (chunk * whole * others + last * (others + last))
