"""Aligned crops to points of the face.

- `points`: which of the mesh's points are kept, and what they are
- `mesh`: the network that finds the points, and its weights
- `kept`: the points of each face of a video, on disk
"""
