"""MTANet with a detector of facial parts on its trunk, which regularises the trunk in training (after arXiv 1406.3474).

- `settings`: the size of the network, the windows and their weight
- `windows`: which windows of the grid hold a part or show an action unit, and the detector's loss
- `network`: MTANet and the detector
- `method`: how it is trained
"""
