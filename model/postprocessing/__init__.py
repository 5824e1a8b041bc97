"""Smoothing and thresholds, fitted to the official score.

- `fitting`: fits bias, smoothing and thresholds
- `crossfit`: estimates what fitting brings on other videos
"""
