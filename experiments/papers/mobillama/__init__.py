"""MobiLlama (Thawakar et al., arXiv 2402.16840): one feed-forward part for all layers."""
