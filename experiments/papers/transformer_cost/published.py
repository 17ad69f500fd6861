"""What the survey states, read in it: by sequence length, BERT-Base, BERT-Large and GPT-2 (which generates as many)."""

from __future__ import annotations

LENGTHS = (128, 256, 512, 1024, 2048, 4096)
FLOPS = {  # [R] Fig. 4, 10^9
    "bert-base": (22, 46, 97, 214, 505, 1324),
    "bert-large": (73, 149, 310, 673, 1554, 3942),
    "gpt2": (22, 45, 92, 194, 428, 1012),
}
MOPS = {  # [R] Fig. 5, 10^9 elements of a byte; of BERT-Base those with more digits in Table 3
    "bert-base": (0.14, 0.2, 0.42, 1.1, 3.2, 11.22),
    "bert-large": (0.4, 0.6, 1.2, 2.9, 8.7, 29.9),
    "gpt2": (11.1, 22.5, 46.2, 97.3, 214.3, 507.8),
}
INTENSITY = {  # [R] Fig. 6
    "bert-base": (160, 215, 231, 202, 156, 117),
    "bert-large": (171, 239, 266, 235, 179, 131),
    "gpt2": (2, 2, 2, 2, 2, 2),
}
LATENCY = {  # [R] Fig. 9, on an Intel Gold 6242; of BERT-Base at 128 tokens
    "bert-base": (1, 2, 3, 9, 25, 84),
    "bert-large": (3, 6, 10, 26, 72, 218),
    "gpt2": (45, 93, 201, 427, 965, 2344),
}
MOPS_SHARES = {  # [R] Table 3, %, BERT-Base at 128, 512 and 4096
    "projections": (27, 16, 3),
    "attention": (7, 20, 44),
    "feed_forward": (49, 25, 4),
    "other": (18, 37, 49),
}
SHARES_AT = (128, 512, 4096)
