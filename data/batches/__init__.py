"""Shards and labels to training batches.

- `batch`: a batch of faces with their labels
- `labelled_frames`: which frames can be learned from, and their labels
- `balance`: how often each frame is drawn in an epoch
- `mixing`: the order of frames in an epoch
- `corruption`: training labels made wrong or withheld
- `augment`: draws the random changes to faces
- `stored_faces`: reads JPEGs out of the shards in the order they are needed, and landmarks
- `dali_graph`: decodes and changes faces; draws nothing itself
- `loader`: joins all of these into batches on a device
- `face_samples`: a few faces per track, for reports
"""
