"""What all groups of knobs are: frozen, named only by keyword, unknown keys refused, known by a digest."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from data.store.shards import digest


class Knobs(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @property
    def digest(self) -> str:
        return digest(type(self).__name__, self.model_dump(mode="json"))
