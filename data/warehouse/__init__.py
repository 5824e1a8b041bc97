"""SQL over everything in the store.

- `views`: connects, defines the views and runs queries
- `macros`: the scores as SQL macros
- `predictions`: writes predictions as Parquet
- `quality`: compares labels with faces
- `quality_rows`: computes the quality findings of a data set once
"""
