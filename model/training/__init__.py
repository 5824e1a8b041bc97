"""Training a network.

- `loop`: epochs, validation, resuming
- `step`: one step of training
- `graphs`: forward and backward passes as CUDA graphs
- `learning`: learning settings and the learning-rate schedule
- `recipe`: sampling rates and label weights, computed from the settings and the labels
- `losses`: masked losses and learned task weights
- `surgery`: projects conflicting gradients
- `resume`: the training folder: resuming, and which epoch is kept
- `checkpoint`: checkpoints on disk
- `distributed`: communication between the processes of one training
"""
