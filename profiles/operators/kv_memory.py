"""How much KV vLLM keeps on a device: what its share of the memory leaves beside weights and activations."""

from __future__ import annotations

from profiles.operators.architecture import Architecture

# [R] vLLM's sampler over the logits of its profiling step, bytes a logit: as computed (2), in float32 (4), sorted (4)
# with their places (8), as probabilities (4) and summed up (4), and what is masked (1).
SAMPLER_BYTES = 27


def activation_bytes(rank: Architecture, vocabulary: int, seats: int, budget: int, element_bytes: int) -> int:
    """The most that a step of `budget` tokens and `seats` sequences holds at once beside the weights, in bytes.

    vLLM runs such a step before it sizes its KV cache. Either a layer is under way (residual, normalized input, up
    projection with gate, activation; of a mixture of experts for each expert that a token goes through), or the logits
    of the whole `vocabulary` are sampled from, with the hidden states still there.
    """
    each = max(rank.experts_per_token, 1) * (rank.up_width + rank.feed_forward)
    layer = budget * (2 * rank.hidden + max(each, rank.qkv_width)) * element_bytes
    return max(layer, budget * rank.hidden * element_bytes + min(seats, budget) * vocabulary * SAMPLER_BYTES)


def kv_tokens(
    model: Architecture,
    devices: int,
    *,
    memory_bytes: int,
    utilization: float,
    seats: int,
    budget: int,
    block_size: int,
    element_bytes: int,
) -> int:
    """Tokens of KV that vLLM has room for on each of `devices` that share `model`, in whole blocks.

    It takes `utilization` of the memory, less weights and activations. CUDA's graphs, its context and what a
    communicator holds are not counted: they have no closed form. ValueError where no block is left.
    """
    rank = model.sharded(devices)
    weights = rank.parameter_count * element_bytes
    activations = activation_bytes(rank, model.vocabulary, seats, budget, element_bytes)
    left = utilization * memory_bytes - weights - activations
    blocks = int(left // (rank.kv_bytes_per_token(element_bytes) * block_size))
    if blocks < 1:
        raise ValueError(
            f"{utilization:g} of {memory_bytes} bytes of memory leave no room for KV beside {weights} bytes of weights "
            f"and {activations} of activations"
        )
    return blocks * block_size
