"""Units of retry and progress: a call or two into `model/` or `data/`."""

from __future__ import annotations

import logging

# Prefect adds its handler to this logger, and leaves its level at WARNING.
logging.getLogger("mtanet").setLevel(logging.INFO)
