"""The steps of `train-mtanet`.

- `train`: trains, registers and resumes
- `epochs`: runs the epochs and logs them
- `temporal`: trains the head over time
- `fitting`: fits the postprocessing
- `leaks`: refuses data sets that leak between tasks
"""
