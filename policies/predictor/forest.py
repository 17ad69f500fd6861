"""Gradient-boosted trees: grown by LightGBM, kept as plain arrays, and walked by numpy, all trees at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """Several sums of trees. Node n leads to `left[n]` if input `feature[n]` is at most `threshold[n]`, or `right[n]`.

    A leaf goes to itself, and has its value as threshold. Tree t begins at node `roots[t]` and adds to sum `sums[t]`.
    """

    feature: NDArray[np.int16]
    threshold: Array
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    roots: NDArray[np.int32]
    sums: NDArray[np.int16]

    def __call__(self, inputs: Array) -> Array:
        """The sums for one row of inputs."""
        node = self.roots
        while True:
            down = np.where(inputs[self.feature[node]] <= self.threshold[node], self.left[node], self.right[node])
            if np.array_equal(down, node):
                return np.asarray(np.bincount(self.sums, self.threshold[node]), dtype=np.float64)
            node = down


def grow(
    inputs: NDArray[np.float32], target: Array, levels: tuple[float, ...], settings: Mapping[str, Any], trees: int
) -> Forest:
    """A sum of `trees` trees for the quantile of `target` at each of `levels`; `settings` are LightGBM's."""
    import lightgbm

    fixed = {"objective": "quantile", "num_threads": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1}
    data = lightgbm.Dataset(inputs, target, params={**settings, **fixed}, free_raw_data=False)
    try:
        boosters = [lightgbm.train({**settings, **fixed, "alpha": level}, data, trees) for level in levels]
    except lightgbm.basic.LightGBMError as error:
        raise ValueError(f"LightGBM refuses {dict(settings)}: {error}") from error
    return of_boosters(boosters)


def of_boosters(boosters: list[Any]) -> Forest:
    """The trees of LightGBM's `boosters`, a sum for each."""
    nodes: list[tuple[int, float, int, int]] = []
    roots, sums = [], []
    for number, booster in enumerate(boosters):
        for tree in booster.dump_model()["tree_info"]:
            roots.append(len(nodes))
            sums.append(number)
            nodes += _nodes(tree["tree_structure"], len(nodes))
    feature, threshold, left, right = zip(*nodes, strict=True)
    return Forest(
        np.array(feature, dtype=np.int16),
        np.array(threshold),
        np.array(left, dtype=np.int32),
        np.array(right, dtype=np.int32),
        np.array(roots, dtype=np.int32),
        np.array(sums, dtype=np.int16),
    )


def _nodes(tree: Mapping[str, Any], at: int) -> Iterator[tuple[int, float, int, int]]:
    """The nodes of a tree whose root has the number `at`, depth first."""
    if "split_feature" not in tree:
        yield 0, tree["leaf_value"], at, at
        return
    left = list(_nodes(tree["left_child"], at + 1))
    right = list(_nodes(tree["right_child"], at + 1 + len(left)))
    yield tree["split_feature"], tree["threshold"], at + 1, at + 1 + len(left)
    yield from left
    yield from right
