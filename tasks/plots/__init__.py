"""Pictures.

- `figures`: draws the shared parts
- `scores`: pictures of scores
- `comparison`: pictures of a comparison
- `windows`: where a detector fires
- `tracks`: pictures of tracks over time
"""
