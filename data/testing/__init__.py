"""Clips and faces shared by the tests and `mtanet doctor`.

- `numbered`: clips whose frames carry their number
- `drawn`: a drawn face that the detector finds
"""
