"""How well predictors foretell sampled answers: data, folds, scores with bootstrap intervals, tables."""
