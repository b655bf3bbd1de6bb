"""A plain value held against the annotation of what takes it."""

import json
import types
from typing import Annotated, Any, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from dps.protocol.values import require_typed

STRICT = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
MADE = "a mapping with a _target_"
WORDS = {
    "int_type": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "callable_type": MADE,
    "needs_python_object": MADE,
}


def check_leaf(option: str, value: Any, hint: Any) -> None:
    """ValueError that names the option, its value and what would be right, unless the value is of the annotated kind.

    As in JSON, nothing is converted but lists to other sequences, and whole numbers to numbers.
    """
    try:
        TypeAdapter(hint, config=STRICT).validate_json(json.dumps(value))
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation):
        return  # a type whose values no configuration has
    except ValidationError as error:
        errors = error.errors()
    else:
        return
    if any(one["type"] == "enum" for one in errors):  # torchvision takes the names of their members
        return
    place = errors[0]["loc"]
    if place and isinstance(place[0], int) and isinstance(value, list) and not _described(hint):
        option, value = f"{option}[{place[0]}]", value[place[0]]
    require_typed(False, option, value, _wanted(hint, errors))


def _wanted(hint: Any, errors: list[ErrorDetails]) -> str:
    if too_large := [one for one in errors if one["type"] == "less_than_equal"]:
        return f"at most {too_large[0]['ctx']['le']}"
    if words := _described(hint):
        return words
    found = [WORDS.get(one["type"]) or one["msg"].removeprefix("Input should be ").replace("'", "") for one in errors]
    return " or ".join(dict.fromkeys([*found, *(["null"] if types.NoneType in get_args(hint) else [])]))


def _described(hint: Any) -> str:
    """The words of an annotation, or of the one kind beside null."""
    if types.NoneType in get_args(hint) and len(get_args(hint)) == 2:
        (kind,) = (kind for kind in get_args(hint) if kind is not types.NoneType)
        return f"{words}, or null" if (words := _described(kind)) else ""
    notes = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((note.description for note in notes if isinstance(note, FieldInfo) and note.description), "")
