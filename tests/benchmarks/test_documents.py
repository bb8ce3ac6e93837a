from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest

from benchmarks.documents import Constraint, dumps, from_document, schema_of, to_document


@dataclass(frozen=True)
class Inner:
    """An inner object."""

    path: Path
    share: Annotated[float, Constraint("minimum", 0), Constraint("maximum", 1)] | None = None


@dataclass(frozen=True)
class Outer:
    """An object. Its first paragraph
    describes it.

    This is not part of it.
    """

    count: Annotated[int, Constraint("minimum", 1)]
    """How many
    there are."""
    kind: Literal["a", "b"]
    samples: Annotated[tuple[float, ...], Constraint("minItems", 1)]
    names: dict[str, Inner]
    last: Inner | None
    speed: Annotated[float, Constraint("exclusiveMinimum", 0)]
    digest: Annotated[str, Constraint("pattern", "^[0-9a-f]{4}$")]
    version: Annotated[int, Constraint("const", 2)]


WHOLE = Outer(3, "a", (1.0, 2.5), {"x": Inner(Path("a/b"), 0.5)}, None, 7.5, "00ff", 2)
DOCUMENT = {
    "count": 3,
    "kind": "a",
    "samples": [1.0, 2.5],
    "names": {"x": {"path": "a/b", "share": 0.5}},
    "last": None,
    "speed": 7.5,
    "digest": "00ff",
    "version": 2,
}


def test_a_dataclass_survives_its_way_through_json() -> None:
    assert to_document(WHOLE) == DOCUMENT
    assert from_document(Outer, json.loads(dumps(to_document(WHOLE)))) == WHOLE


def test_a_whole_number_is_read_as_a_float_where_one_is_meant() -> None:
    read = from_document(Outer, DOCUMENT | {"samples": [1]})
    assert isinstance(read.samples[0], float)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": "3"}, r"\$\.count must be integer, got '3'"),
        ({"count": True}, r"\$\.count must be integer"),
        ({"kind": "c"}, r"\$\.kind must be one of 'a', 'b'"),
        ({"samples": [1.0, None]}, r"\$\.samples\[1\] must be number"),
        ({"samples": []}, "at least 1"),
        ({"names": {"x": {"path": "a"}}}, r"\$\.names\.x must have the keys of Inner: missing or unknown is 'share'"),
        ({"more": 1}, "'more'"),
        ({"last": 1}, r"\$\.last must be an object"),
        ({"count": 0}, r"\$\.count must be at least 1, got '0'"),
        ({"names": {"x": {"path": "a", "share": 1.5}}}, r"\$\.names\.x\.share must be at most 1, got '1\.5'"),
        ({"speed": 0.0}, r"\$\.speed must be above 0"),
        ({"digest": "zz"}, r"\$\.digest must be a match of \^\[0-9a-f\]\{4\}\$, got 'zz'"),
        ({"version": 3}, r"\$\.version must be equal to 2"),
        ({"samples": [math.nan]}, r"\$\.samples\[0\] must be a finite number, got 'nan'"),
        ({"speed": math.inf}, r"\$\.speed must be a finite number"),
        ({"speed": 10**400}, r"\$\.speed must be a finite number"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_document(Outer, DOCUMENT | change)


def test_plain_values_stay_on_one_line() -> None:
    assert dumps({"a": [1, 2], "b": {}, "c": [{"d": 1, "é": None}]}) == (
        '{\n "a": [1, 2],\n "b": {},\n "c": [\n  {"d": 1, "é": null}\n ]\n}'
    )


def test_the_schema_accepts_what_is_written_and_refuses_the_rest() -> None:
    schema = schema_of(Outer, title="an outer")
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(DOCUMENT, schema)
    refused: list[dict[str, Any]] = [
        {"count": 0},
        {"kind": "c"},
        {"samples": []},
        {"more": 1},
        {"speed": 0},
        {"digest": "zz"},
        {"version": 3},
        {"names": {"x": {"path": "a", "share": 2}}},
    ]
    for change in refused:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(DOCUMENT | change, schema)


def test_the_schema_takes_its_descriptions_from_the_docstrings() -> None:
    schema = schema_of(Outer, title="an outer")
    assert schema["description"] == "An object. Its first paragraph describes it."
    assert schema["properties"]["count"] == {"description": "How many there are.", "type": "integer", "minimum": 1}
    assert schema["$defs"]["Inner"]["description"] == "An inner object."
