"""The steps of `train-mtanet`.

- `train`: trains, registers and resumes
- `systems`: trains any system
- `epochs`: runs the epochs and logs them
- `frames`: the frames to learn from, with what a system needs besides labels
- `at_once`: fits a system that learns without epochs
- `elsewhere`: registers a network that was trained elsewhere
- `teacher`: asks a trained network for the labels that are missing
- `temporal`: trains the temporal head
- `fitting`: fits the postprocessing
- `leaks`: refuses data sets that leak between tasks
"""
