"""A network that was trained elsewhere, from an ONNX file and a description of its input and outputs.

- `settings`: the description
- `network`: runs the file
- `method`: how it is built
"""
