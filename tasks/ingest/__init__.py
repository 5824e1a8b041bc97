"""The steps of `ingest-aff-wild2`.

- `annotations`: annotations to labels
- `videos`: videos to face shards, one task per video
- `concurrency`: limits the videos that are read in parallel
- `failures`: reports failed videos
- `sample`: makes the synthetic sample
"""
