"""Smoothing and thresholds, fitted to the official score.

- `fitting`: fits bias, smoothing and thresholds
- `crossfit`: estimates the gain on other videos
"""
