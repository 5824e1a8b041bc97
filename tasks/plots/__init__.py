"""Pictures.

- `figures`: draws the shared parts
- `scores`: pictures of scores
- `tracks`: pictures of tracks over time
"""
