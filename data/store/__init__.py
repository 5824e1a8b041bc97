"""Files that appear whole or not at all.

- `access`: locks, full disks, unreadable files
- `shards`: writes and reads Parquet files, folders and manifests
- `hashes`: identifies a file by its content
"""
