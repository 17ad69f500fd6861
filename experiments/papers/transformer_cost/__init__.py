"""Full Stack Optimization of Transformer Inference: a Survey (Kim et al., arXiv 2302.14017): what a pass costs."""
