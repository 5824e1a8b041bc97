"""The systems that are compared: each has its own network, and all are trained, scored and queried by the same code.

- `settings`: the name of each system, its settings and the tasks that it answers
- `registry`: builds the network of a system
- `expr_cnn`: a plain convolutional network for expressions alone
"""
