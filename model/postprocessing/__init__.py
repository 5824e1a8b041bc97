"""Smoothing and thresholds, fitted to the official score.

- `smoothing`: averages over time
- `fit_frames`: the frames that fitting uses
- `fitting`: fits bias, smoothing and thresholds
- `crossfit`: estimates what fitting brings on other videos
"""
