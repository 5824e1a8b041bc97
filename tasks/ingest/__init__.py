"""The steps of `ingest-aff-wild2`.

- `annotations`: annotations to labels
- `videos`: videos to face shards, one task per video
- `processes`: processes that extract videos on a GPU
- `concurrency`: limits the videos that are read in parallel
- `failures`: reports failed videos
- `sample`: makes the synthetic sample
"""
