"""A file that can be read, or one sentence that says why not: waiting and trying again would not help."""

from __future__ import annotations

import stat
from pathlib import Path


def check_file(path: Path, what: str = "file") -> None:
    """Nothing, if it can be opened.

    Raises:
        ValueError: It is not there, is none, such as a folder or a pipe, or this user may not read it.
        OSError: The disk or the network fails.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            path.open("rb").close()
            return
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ValueError(f"{path}: expected a {what}, found none; put it back and run the same again") from error
    except PermissionError as error:
        raise ValueError(
            f"{path}: expected a {what}, found no permission to read it; give it to the user of this run with chmod"
        ) from error
    kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
    raise ValueError(f"{path}: expected a {what}, found {kind}; move it away")
