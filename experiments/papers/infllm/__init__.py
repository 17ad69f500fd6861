"""InfLLM (Xiao et al., NeurIPS 2024, arXiv 2402.04617): a window on the device, the rest of the KV on the host."""
