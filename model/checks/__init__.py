"""Checks whether a GPU agrees with the CPU.

- `agreement`: runs all checks and gives verdicts
- `faces`: checks of crops, detector and batches
- `videos`: checks of decoding and extraction
"""
