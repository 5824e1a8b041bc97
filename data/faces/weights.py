"""Files of weights in installed distributions, which are read as data; their code is never imported."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path

_INSTALL = "install the packages of requirements.lock"


def installed_file(distribution: str, name: str) -> Path:
    """The place of a distribution's file.

    Raises:
        ModuleNotFoundError: The distribution is not installed, or without this file.
    """
    try:
        path = Path(str(metadata.distribution(distribution).locate_file(name)))
    except metadata.PackageNotFoundError:
        raise ModuleNotFoundError(
            f"the package {distribution}, whose weights are used, is missing; {_INSTALL}"
        ) from None
    if not path.is_file():
        raise ModuleNotFoundError(
            f"{path}: expected the weights of the package {distribution}, found no file; {_INSTALL}"
        )
    return path


def check_weights(content: bytes, sha256: str, source: Path) -> bytes:
    """The content, if it has this hash.

    Raises:
        ValueError: It has another one.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(f"{source}: expected weights with sha256 {sha256}, found {found}; {_INSTALL}")
    return content
