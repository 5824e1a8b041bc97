"""Training a network.

- `loop`: epochs, validation, resuming
- `step`: one step of training
- `learning`: settings of learning, and the learning rate
- `recipe`: what the settings mean for given labels
- `losses`: masked losses and learned task weights
- `surgery`: projects conflicting gradients
- `resume`: a training's folder: resuming, the epoch that is kept
- `checkpoint`: weights on disk
- `pretrained`: starts from published weights
- `distributed`: exchanges between the processes of one training
"""
