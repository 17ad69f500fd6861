"""FastServe's own curves, read in its artifact's notebook (plot.ipynb, [R]): seconds per output token by requests/s.

A system's values stand at the first so many of the figure's rates.
"""

from __future__ import annotations

from typing import NamedTuple


class Curves(NamedTuple):
    """One panel of the paper: its rates, and the values of each system."""

    rates: tuple[float, ...]
    values: dict[str, tuple[float, ...]]

    def of(self, system: str) -> tuple[list[float], list[float]]:
        """Rates and values of one system, empty where the paper has none."""
        values = self.values.get(system, ())
        return [*self.rates[: len(values)]], [*values]


SHAREGPT_RATES = (0.1, 0.2, 0.5, 1, 1.5, 1.75, 2, 2.25, 2.5, 3, 4, 4.5, 5, 5.5, 6, 10)
SHAREGPT = Curves(
    SHAREGPT_RATES,
    {
        "fastserve_vllm": (0.027, 0.027, 0.029, 0.031, 0.035, 0.058, 0.110, 0.245, 0.522, 0.972, 1.59),
        "fastserve_fcfs": (0.024, 0.029, 0.033, 0.038, 0.045, 0.052, 0.091, 0.13, 0.403, 0.849, 1.459),
        "fastserve": (
            0.034, 0.033, 0.033, 0.039, 0.045, 0.043, 0.047, 0.048, 0.048, 0.063, 0.106, 0.187, 0.331, 0.671, 0.856,
            1.425,
        ),
    },
)  # fmt: skip
SHAREGPT_P95 = Curves(
    SHAREGPT_RATES,
    {
        "fastserve_vllm": (0.032, 0.032, 0.036, 0.043, 0.055, 0.184, 0.418, 0.899, 2.195, 3.811, 6.518),
        "fastserve_fcfs": (0.059, 0.060, 0.062, 0.087, 0.122, 0.135, 0.297, 0.645, 1.735, 3.308, 5.879),
        "fastserve": (
            0.052, 0.056, 0.056, 0.092, 0.120, 0.092, 0.111, 0.116, 0.112, 0.174, 0.312, 0.518, 1.145, 3.565, 3.975,
            6.417,
        ),
    },
)  # fmt: skip
ALPACA = Curves(
    (1, 3, 5, 8, 11, 11.5, 12, 13, 14, 15, 17, 20, 30, 40),
    {
        "fastserve_vllm": (
            0.02775, 0.03015, 0.04758, 0.22768, 0.26285, 0.29096, 0.3122, 0.34297, 0.39218, 0.57822, 0.7627,
        ),
        "fastserve_fcfs": (0.028, 0.03, 0.032, 0.034, 0.049, 0.067, 0.102, 0.132, 0.196, 0.213, 0.345, 0.468, 1.015),
        "fastserve": (0.027, 0.029, 0.033, 0.035, 0.042, 0.044, 0.055, 0.055, 0.068, 0.069, 0.092, 0.133, 0.256, 0.442),
    },
)  # fmt: skip
BATCHES_OF_64 = Curves(
    (1, 2, 2.5, 2.75, 3, 3.5, 3.75),
    {
        "fastserve_fcfs": (0.043, 0.059, 0.064, 0.145, 0.376),
        "fastserve": (0.044, 0.059, 0.065, 0.09, 0.093, 0.118, 0.278),
    },
)
SWAPPING = Curves(  # of a workload that the notebook does not name
    (0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6),
    {
        "fastserve": (0.03, 0.035, 0.059, 0.133, 0.264, 0.328, 0.454, 0.535, 0.674, 0.767, 0.906, 1.029),
        "fastserve_reactive": (0.03, 0.036, 0.158, 0.476, 0.699, 0.891, 1.416, 1.555, 1.941, 2.389, 2.604, 3.044),
    },
)
