"""A synthetic sample in Aff-Wild2's own layout: rendered heads, acted expressions, exact labels. `make.make_sample` makes it."""
