"""Confidence interval of a Poisson count."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=4096)
def poisson_interval(count: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval (Garwood) of the mean of a Poisson distribution of which `count` was seen."""
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else _mean_at(count - 1, 1 - tail)
    return low, _mean_at(count, tail)


def _mean_at(count: int, probability: float) -> float:
    """The mean at which at most `count` is seen with this probability."""
    logs = np.log(np.arange(1, count + 1))
    log_factorials = np.concatenate([[0.0], np.cumsum(logs)])
    k = np.arange(count + 1)
    low, high = 0.0, count + 10 * np.sqrt(count + 1) + 10
    for _ in range(60):
        mean = (low + high) / 2
        at_most = np.exp(k * np.log(mean) - mean - log_factorials).sum()
        low, high = (mean, high) if at_most > probability else (low, mean)
    return float((low + high) / 2)
