"""Speed, memory and exactness as ratios to plain baselines."""
