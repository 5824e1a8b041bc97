"""The systems that are compared: each has its own network, and all are trained, scored and queried by the same code.

A system is a folder with its `settings`, its networks and a module `method`, whose METHOD says how it is trained.

- `settings`: the systems by name, their settings and the tasks that they answer
- `registry`: builds the network of a system, and loads one from its checkpoint
"""
