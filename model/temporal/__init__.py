"""A head that reads a track over time.

- `settings`: the size of the head and how it learns
- `head`: the network of the head
- `features`: a trained network's features of each face, on disk
- `windows`: cuts tracks into windows
- `training`: trains the head
- `checkpoint`: the head on disk
"""
