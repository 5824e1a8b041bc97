"""The steps of `evaluate-mtanet`.

- `evaluate`: scores a model version on a split
- `result`: the scores of a version on a split, as tables
- `records`: writes scores to MLflow and to the store
- `reports`: shows tables on the page of a flow run
- `gate`: compares a challenger with the champion
- `champion`: promotes a champion or rolls it back
- `crossfit`: scores postprocessing on videos that it was not fitted on
- `pictures`: draws the pictures of an evaluation
"""
