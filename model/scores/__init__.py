"""The only definitions of the scores.

- `metrics`: scores of frames
- `tallies`: scores of groups of frames, from moments and counts
- `intervals`: confidence intervals by resampling
- `diagnostics`: where a model is wrong
"""
