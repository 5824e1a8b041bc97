"""The steps of `compare-systems` and `ablate-mtanet`: trains experiments from several seeds and compares them.

- `entries`: what is compared, from the names of experiments
- `engine`: trains and measures what is missing
- `result`: a comparison as rows, kept for the terminal and SQL
- `page`: a comparison as text and as a page with pictures
- `ablation`: the variants of a recipe, as entries
"""
