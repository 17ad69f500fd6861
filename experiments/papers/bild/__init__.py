"""BiLD (arXiv 2302.07863): a small model decodes, a large one corrects."""
