"""Files of weights in installed distributions, which are read as data; their code is never imported."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

_INSTALL = "install the packages of requirements.lock"


def installed_file(distribution: str, name: str, *, remedy: str = _INSTALL) -> Path:
    """The place of a distribution's file; `remedy` ends the message if there is none.

    Raises:
        ModuleNotFoundError: The distribution is not installed, or without this file.
    """
    try:
        path = Path(str(metadata.distribution(distribution).locate_file(name)))
    except metadata.PackageNotFoundError:
        raise ModuleNotFoundError(f"the package {distribution}, whose weights are used, is missing; {remedy}") from None
    if not path.is_file():
        raise ModuleNotFoundError(
            f"{path}: expected the weights of the package {distribution}, found no file; {remedy}"
        )
    return path


def check_weights(content: bytes, sha256: str, source: Path, *, remedy: str = _INSTALL) -> bytes:
    """The content, if it has this hash; `remedy` ends the message if it has not.

    Raises:
        ValueError: It has another one.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(f"{source}: expected weights with sha256 {sha256}, found {found}; {remedy}")
    return content
