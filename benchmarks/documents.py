"""Dataclasses as JSON documents: writing, strict reading, and the JSON Schema, all from the fields' type hints.

A field is a ``bool``, ``int``, ``float``, ``str``, ``Path``, ``Literal``, another dataclass, a ``tuple[X, ...]``, a
``dict[str, X]``, or one of these or None. ``Annotated[float, Constraint("minimum", 0)]`` adds a keyword of JSON Schema.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, cast, get_args, get_origin, get_type_hints

Kind = TypeVar("Kind")

_SCALARS: dict[Any, str] = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}


class Constraint(NamedTuple):
    """A keyword of JSON Schema that narrows a type: one of :data:`_RULES`. Reading enforces it."""

    keyword: str
    value: float | str


_RULES: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "const": ("equal to", lambda value, bound: value == bound),
    "minimum": ("at least", lambda value, bound: value >= bound),
    "maximum": ("at most", lambda value, bound: value <= bound),
    "exclusiveMinimum": ("above", lambda value, bound: value > bound),
    "minItems": ("a list of at least", lambda value, bound: len(value) >= bound),
    "pattern": ("a match of", lambda value, bound: re.search(bound, value) is not None),
}
"""By keyword: the rule in words, which the constraint's value completes, and whether a value follows it."""


def to_document(value: Any) -> Any:
    """A dataclass, and all that it holds, as what :mod:`json` can write."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_document(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, dict):
        return {key: to_document(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_document(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def from_document(kind: type[Kind], document: Any) -> Kind:
    """The dataclass of such a document.

    Parameters
    ----------
    kind : type
        A dataclass.
    document
        As :func:`json.loads` returns it.

    Raises
    ------
    ValueError
        A key is missing or unknown, or a value is of another type, not finite, or breaks a constraint; the message
        names its place.
    """
    return cast(Kind, _read(kind, document, "$"))


def dumps(document: Any, *, indent: str = "") -> str:
    """A document as JSON text, indented by one space a level; a list or object of plain values stays on one line."""
    values = list(document.values()) if isinstance(document, dict) else document
    if not isinstance(values, list) or not any(isinstance(value, dict | list) for value in values):
        return json.dumps(document, ensure_ascii=False)
    deeper = f"{indent} "
    items = [dumps(value, indent=deeper) for value in values]
    if isinstance(document, dict):
        items = [f"{json.dumps(key, ensure_ascii=False)}: {item}" for key, item in zip(document, items, strict=True)]
    opening, closing = "{}" if isinstance(document, dict) else "[]"
    return f"{opening}\n{deeper}" + f",\n{deeper}".join(items) + f"\n{indent}{closing}"


def schema_of(kind: type, *, title: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a dataclass; the docstrings of classes and fields describe them.

    Parameters
    ----------
    kind : type
        A dataclass whose source can be read.
    title : str
    """
    definitions: dict[str, Any] = {}
    root = _object_schema(kind, definitions)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return {**head, **root, "$defs": dict(sorted(definitions.items()))}


def _read(hint: Any, document: Any, place: str) -> Any:
    kind, keywords = _without_annotation(hint)
    value = _read_kind(kind, document, place)
    for keyword, bound in keywords.items():
        rule, follows = _RULES[keyword]
        _expect(follows(value, bound), f"{rule} {bound}", document, place)
    return value


def _read_kind(kind: Any, document: Any, place: str) -> Any:
    choices = get_args(kind)
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        (kind,) = (choice for choice in choices if choice is not NoneType)
        return None if document is None else _read(kind, document, place)
    if is_dataclass(kind):
        return _read_object(kind, document, place)
    if origin is Literal:
        _expect(document in choices, f"one of {', '.join(map(repr, choices))}", document, place)
        return document
    if origin is tuple:
        _expect(isinstance(document, list), "a list", document, place)
        return tuple(_read(choices[0], item, f"{place}[{number}]") for number, item in enumerate(document))
    if origin is dict:
        _expect(isinstance(document, dict), "an object", document, place)
        return {key: _read(choices[1], item, f"{place}.{key}") for key, item in document.items()}
    number = kind is float and type(document) is int
    _expect(number or type(document) is (str if kind is Path else kind), _SCALARS[kind], document, place)
    if kind is float:  # NaN is not at most anything
        _expect(abs(document) <= sys.float_info.max, "a finite number", document, place)
    return kind(document)


def _read_object(kind: Any, document: Any, place: str) -> Any:
    hints = get_type_hints(kind, include_extras=True)
    _expect(isinstance(document, dict), "an object", document, place)
    if odd := sorted(document.keys() ^ hints.keys()):
        raise ValueError(f"{place} must have the keys of {kind.__name__}: missing or unknown is {odd[0]!r}")
    return kind(**{name: _read(hint, document[name], f"{place}.{name}") for name, hint in hints.items()})


def _expect(condition: bool, rule: str, got: Any, place: str) -> None:
    if not condition:
        raise ValueError(f"{place} must be {rule}, got {str(got)[:40]!r}")


def _schema(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    kind, keywords = _without_annotation(hint)
    choices, origin = get_args(kind), get_origin(kind)
    if origin in (Union, UnionType):
        (kind,) = (choice for choice in choices if choice is not NoneType)
        schema: dict[str, Any] = {"anyOf": [_schema(kind, definitions), {"type": "null"}]}
    elif is_dataclass(kind):
        name = cast(type, kind).__name__
        if name not in definitions:
            definitions[name] = {}
            definitions[name] = _object_schema(kind, definitions)
        schema = {"$ref": f"#/$defs/{name}"}
    elif origin is Literal:
        schema = {"enum": list(choices)}
    elif origin is tuple:
        schema = {"type": "array", "items": _schema(choices[0], definitions)}
    elif origin is dict:
        schema = {"type": "object", "additionalProperties": _schema(choices[1], definitions)}
    else:
        schema = {"type": _SCALARS[kind]}
    return schema | keywords


def _object_schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    meanings = dict(_field_docstrings(kind))
    properties = {
        name: ({"description": meanings[name]} if name in meanings else {}) | _schema(hint, definitions)
        for name, hint in hints.items()
    }
    return {
        "description": " ".join((kind.__doc__ or "").split("\n\n")[0].split()),
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def _field_docstrings(kind: type) -> Iterator[tuple[str, str]]:
    """Name of each field that a string follows in the source, and that string on one line."""
    import ast
    import inspect
    from itertools import pairwise

    (definition,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(definition, ast.ClassDef)
    for item, following in pairwise(definition.body):
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and isinstance(following, ast.Expr):
            yield item.target.id, " ".join(ast.literal_eval(following.value).split())


def _without_annotation(hint: Any) -> tuple[Any, dict[str, Any]]:
    if get_origin(hint) is not Annotated:
        return hint, {}
    kind, *constraints = get_args(hint)
    return kind, {constraint.keyword: constraint.value for constraint in constraints}
