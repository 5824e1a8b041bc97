"""A video file to frames in display order.

- `frames`: reads frames and chooses the decoder
- `media`: the types: facts of a video, chunks of frames
- `packets`: reads the packets of a file without decoding
- `damage`: decides which decoded frames can be trusted
- `pyav`: decodes with PyAV, the reference
- `dali`: decodes with DALI
- `nvdec`: counts the decoders of a GPU
- `pixels`: converts and resizes pixels where they are used
- `shots`: finds where the picture cuts to another shot
"""
