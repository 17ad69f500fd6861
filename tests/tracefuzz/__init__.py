"""Parts of the trace fuzzer: made files, mutations, an independent reading of what is left, and the verdict."""
