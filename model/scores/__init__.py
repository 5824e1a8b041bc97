"""The only definitions of the scores.

- `metrics`: scores of frames
- `tallies`: scores of groups of frames, from moments and counts
- `intervals`: confidence intervals by resampling
- `kept`: tallies as JSON
- `diagnostics`: where a model is wrong
"""
