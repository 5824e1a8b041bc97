"""Files that appear whole or not at all.

- `access`: locks, full disks, unreadable files
- `shards`: writes and reads Parquet files, folders and manifests
- `catalogue`: which videos, faces and labels make up a data set
- `hashes`: identifies a file by its content
"""
