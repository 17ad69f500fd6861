"""LTR (Fu et al., NeurIPS 2024, arXiv 2408.15792): scheduling by a learned ranking."""
