"""A Prefect API server for one run, without web pages or schedules: `python -m flows.servers.server PORT`.

It ends when its standard input closes, so it never outlives the process that started it, even if that is killed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import uvicorn
from prefect.server.api.server import create_app


def main() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    app = create_app(ephemeral=True, final=True)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
