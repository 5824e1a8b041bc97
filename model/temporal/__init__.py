"""The temporal head: a network that reads a track over time.

- `settings`: architecture and learning settings of the head
- `head`: the network of the head
- `features`: features of each face from the trained network, on disk
- `windows`: cuts tracks into windows
- `training`: trains the head
- `checkpoint`: the head on disk
"""
