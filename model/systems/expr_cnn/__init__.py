"""A plain convolutional network for expressions alone (arXiv 2010.01301).

- `settings`: the size of the network
- `network`: its layers
- `method`: how it is trained
"""
