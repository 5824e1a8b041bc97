"""Whether a GPU gives what the CPU gives.

- `agreement`: all trials, their verdicts
- `faces`: trials of crops, detector and batches
- `videos`: trials of decoding and extraction
"""
