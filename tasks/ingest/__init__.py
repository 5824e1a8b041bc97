"""The steps of `ingest-aff-wild2`.

- `annotations`: annotations to labels
- `videos`: videos to face shards, a task per video
- `concurrency`: how many videos are read at once
- `failures`: reports videos that failed
- `sample`: makes the synthetic sample
"""
