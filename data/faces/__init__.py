"""A frame to its faces and aligned crops.

- `retinaface`: the detector's network and weights
- `detector`: boxes, landmarks and scores of the faces in frames
- `embedding`: the network that recognises people, and its weights
- `weights`: files of weights in installed packages
- `look_queue`: one thread that runs the detector for all threads of a GPU
- `crops`: alignment, crops, JPEG and the colour descriptor; knows nothing of identities
"""
