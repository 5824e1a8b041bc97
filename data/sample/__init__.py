"""A synthetic sample in Aff-Wild2's own layout: rendered heads, acted expressions, exact labels. See `make_sample`."""
