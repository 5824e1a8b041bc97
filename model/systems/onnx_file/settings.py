"""What a foreign network expects, and which of its outputs is which column. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from data.labels import ALL_ACTION_UNITS, EXPRESSIONS, Edition, Task, action_unit_column, action_unit_columns
from data.settings import Settings

Columns = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]


class Input(Settings):
    """How the network wants its faces. They are this project's aligned crops, enlarged or shrunk to the size."""

    size_px: Annotated[int, Field(ge=16, le=1024)] = 112
    """Side of the face."""
    colours: Literal["rgb", "bgr", "grey"] = "rgb"
    """Order of the colours; `grey` is one channel (ITU-R BT.601)."""
    layout: Literal["nchw", "nhwc"] = "nchw"
    """Order of the dimensions: batch, colours, height, width."""
    range: Literal[1, 255] = 1
    """Pixels are from 0 to this before `mean` is subtracted and the rest divided by `scale`."""
    mean: tuple[float, ...] = (0.0,)
    """For each colour in the order of `colours`, or one for all."""
    scale: tuple[float, ...] = (1.0,)
    """For each colour in the order of `colours`, or one for all."""
    shift: Annotated[float, Field(ge=0)] = 0.0
    """Border of black around the crop, as a share of its side, for networks that expect faces with more around them."""

    @model_validator(mode="after")
    def _fits_the_colours(self) -> Self:
        number = 1 if self.colours == "grey" else 3
        for name in ("mean", "scale"):
            found = getattr(self, name)
            if len(found) not in (1, number):
                raise ValueError(f"{name}: expected 1 or {number} numbers for {self.colours}, found {found}")
        if 0 in self.scale:
            raise ValueError("scale: expected numbers other than 0")
        return self


class Answer(Settings):
    """Where a task's answers are: an output of the network by number, and its columns."""

    output: Annotated[int, Field(ge=0)] = 0
    """The network's outputs are counted from 0."""
    columns: Columns
    """Columns of the output, counted from 0."""


class NamedAnswer(Answer):
    """Columns with what they mean."""

    names: tuple[str, ...]
    """What each column is: an expression or an action unit such as `au12`. A column called `-` is ignored."""
    values: Literal["logits", "probabilities"] = "logits"
    """What the columns hold."""

    @model_validator(mode="after")
    def _names_each_column(self) -> Self:
        if len(self.names) != len(self.columns):
            raise ValueError(f"names: expected one for each of {len(self.columns)} columns, found {len(self.names)}")
        known = [name for name in self.names if name != "-"]
        if len(set(known)) < len(known):
            raise ValueError(f"names: one is given twice: {', '.join(known)}")
        return self


class OnnxSettings(Settings):
    """A foreign network: its input, and which of its outputs answers which task. At least one task is answered."""

    edition: Edition = Edition.ABAW_2022
    """The edition whose expressions and action units it answers: 2022 has the expression `other`."""
    input: Input = Input()
    """The input."""
    valence_arousal: Answer | None = None
    """Two columns: valence and arousal, from -1 to 1."""
    expression: NamedAnswer | None = None
    """A column for each expression. Expressions of the edition without a column are never answered."""
    action_units: NamedAnswer | None = None
    """A column for each action unit of the edition."""
    num_bytes: Annotated[int, Field(ge=0)] = 0
    """Size of the file; set when it is registered."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        answers = {Task.VA: self.valence_arousal, Task.EXPR: self.expression, Task.AU: self.action_units}
        return tuple(task for task, answer in answers.items() if answer is not None)

    @model_validator(mode="after")
    def _names_what_the_edition_has(self) -> Self:
        if not self.tasks:
            raise ValueError("expected at least one of [valence_arousal], [expression] and [action_units]")
        if self.valence_arousal is not None and len(self.valence_arousal.columns) != 2:
            raise ValueError(f"valence_arousal.columns: expected two, found {len(self.valence_arousal.columns)}")
        if self.expression is not None:
            unknown = set(self.expression.names) - set(EXPRESSIONS[self.edition]) - {"-"}
            if unknown:
                raise ValueError(
                    f"expression.names: expected some of {', '.join(EXPRESSIONS[self.edition])} or -, found "
                    f"{', '.join(sorted(unknown))}"
                )
        if self.action_units is not None:
            missing = set(action_unit_columns(self.edition)) - set(self.action_units.names)
            unknown = set(self.action_units.names) - set(map(action_unit_column, ALL_ACTION_UNITS)) - {"-"}
            if missing or unknown:
                raise ValueError(
                    f"action_units.names: expected {', '.join(action_unit_columns(self.edition))} of edition "
                    f"{self.edition}, found {', '.join(self.action_units.names)}; name columns of other units -"
                )
        return self
