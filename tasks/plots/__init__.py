"""Pictures.

- `figures`: draws the shared parts
- `scores`: pictures of scores
- `comparison`: pictures of a comparison
- `tracks`: pictures of tracks over time
"""
