"""Valence and arousal from the shape of the face alone, without a trained network: a floor for all others.

- `settings`: how the linear map is fitted
- `shape`: points of a face to the distances between them
- `fit`: fits the linear map from distances to valence and arousal
- `network`: finds points and answers with the fitted map
- `predictions`: predictions from points that were found before
- `method`: how the network is built

Source: arXiv 2106.07817.
"""
