"""MobiLlama's tables, read in the paper."""

from __future__ import annotations

PARAMETERS = {  # [R] Table 1, 10^9
    "mobillama-0.5b": 0.52,
    "mobillama-baseline1": 0.54,
    "mobillama-baseline2": 0.52,
    "mobillama-large-base": 1.2,
}
CLUSTERS = {"mobillama_pc": "RTX 2080 Ti", "mobillama_laptop": "Core i7", "mobillama_phone": "Snapdragon 685"}
SPEED = {  # [R] Table 6, tokens/s
    "mobillama_pc": {"mobillama-0.5b": 63.38, "mobillama-large-base": 50.61},
    "mobillama_laptop": {"mobillama-0.5b": 36.32, "mobillama-large-base": 29.23},
    "mobillama_phone": {"mobillama-0.5b": 7.021, "mobillama-large-base": 6.687},
}
MEMORY = {  # [R] Table 6, MB
    "mobillama_pc": {"mobillama-0.5b": 3046, "mobillama-large-base": 6254},
    "mobillama_laptop": {"mobillama-0.5b": 799, "mobillama-large-base": 1163},
    "mobillama_phone": {"mobillama-0.5b": 770, "mobillama-large-base": 780},
}
