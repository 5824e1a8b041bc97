"""A Prefect API server for one run, without web pages or schedules: `python -m flows.servers.server PORT`.

It ends when its standard input closes, so it never outlives the process that started it, even if that is killed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import uvicorn
from prefect.server.api.server import create_app

TO_END_S = 2.0
"""Seconds that the server has to end by itself once its parent has ended."""


def main() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    app = create_app(ephemeral=True, final=True)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(TO_END_S)
    os._exit(1)


if __name__ == "__main__":
    main()
