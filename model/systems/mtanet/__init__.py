"""MTANet (arXiv 2002.00606): valence and arousal, expression and action units by one network.

- `settings`: the size of the network
- `network`: trunk, neck and heads
- `method`: how it is trained
"""
