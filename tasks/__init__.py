"""The steps of the flows, with retries and progress. Each makes a call or two into `model/` or `data/`."""

from __future__ import annotations

import logging

# Prefect adds its handler to this logger but leaves the level at WARNING.
logging.getLogger("mtanet").setLevel(logging.INFO)
