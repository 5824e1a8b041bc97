"""The steps of `evaluate-mtanet`.

- `evaluate`: scores a model version on a split
- `result`: the scores of a version on a split
- `records`: writes scores to MLflow and to the store
- `reports`: tables for people
- `gate`: compares a challenger with the champion
- `champion`: promotes and rolls back the champion
- `crossfit`: scores postprocessing on other videos
- `ablation`: trains and compares variants
- `pictures`: the pictures of an evaluation
"""
