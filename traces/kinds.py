"""The six kinds of uncertainty of RT-LM (arXiv 2309.06619), in the order of its rule scores r_1..r_6."""

KINDS = ("structural", "syntactic", "semantic", "vague", "open_ended", "multi_part")
