"""The base of all groups of settings."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from data.store.shards import digest


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        ValueError: It is not valid TOML, or not in UTF-8.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not text in UTF-8, which TOML is; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: not valid TOML: {error}") from error


AnySettings = TypeVar("AnySettings", bound="Settings")


class Settings(BaseModel):
    """Frozen settings, given by keyword, with meaning and unit under each field. Unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @property
    def digest(self) -> str:
        return digest(type(self).__name__, self.model_dump(mode="json"))

    def part(self, kind: type[AnySettings]) -> AnySettings:
        """The settings of a group that these are composed of, alone."""
        return kind.model_validate({name: getattr(self, name) for name in kind.model_fields})

    def but(self, **settings: Any) -> Self:
        """A copy with some settings changed, which are checked as in a new one."""
        return type(self).model_validate({**dict(self), **settings})
