"""Expressions, valence and arousal from noisy labels, by adversarial training of their joint distribution with faces.

- `settings`: the sizes of the networks and the weight of the adversarial part
- `layers`: spectrally normalised layers and the blocks made of them
- `encoder`: a face to its latent code, class logits, valence and arousal
- `decoder`: a latent code and labels to a face
- `pairs`: what the discriminators compare, and the labels that are drawn for it
- `discriminators`: the five scores of a pair
- `network`: holds all of them; answers by the encoder alone
- `losses`: of the labels and of the adversarial game
- `method`: one training step
- `collapse`: says when the adversarial game is over

Source: Li et al. (2021), arXiv 2010.09849, with the sizes of the public code, sanweiliti/noisyFER.
"""
