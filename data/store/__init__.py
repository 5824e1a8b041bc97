"""Files that appear whole or not at all.

- `access`: locks, full disks, unreadable files
- `shards`: writes and reads Parquet files, folders and manifests
- `damage`: names damaged files, and what to do
- `embeddings`: the embeddings of people, and their deletion
- `verify`: checks every file against its hash
- `catalogue`: which videos, faces and labels make up a data set
- `hashes`: identifies a file by its content
"""
