"""The steps of `train-mtanet`.

- `train`: trains, registers and resumes
- `epochs`: runs the epochs and logs them
- `temporal`: trains the temporal head
- `fitting`: fits the postprocessing
- `leaks`: refuses data sets that leak between tasks
"""
