"""SQL over everything in the store.

- `views`: defines the views
- `answers`: runs queries and writes their answers
- `leaderboard`: the rows of comparisons
- `macros`: the scores as SQL macros
- `predictions`: writes predictions as Parquet
- `subjects`: the same people in several videos
- `quality`: compares labels with faces
- `quality_rows`: computes the quality findings of a data set once
"""
