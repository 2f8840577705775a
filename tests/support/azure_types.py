"""Resources of the templates against Microsoft's management models (scripts/write_azure_types.py).

What a template computes (a parameter, a call, a value out of a file) is not looked into; the objects, lists, words and
booleans that it writes down are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

from tree_sitter import Node

from tests.support.bicep import ROOT, declared, nodes, text

RECORDED = json.loads((ROOT / "tests/assets/azure_types.json").read_text())
TYPES: Mapping[str, Any] = RECORDED["types"]
MODELS: Mapping[str, Any] = RECORDED["models"]
BICEPS_OWN = frozenset({"name", "scope", "parent", "dependsOn"})
_WRITTEN = {"boolean": "bool", "number": "int"}


def resources(tree: Node) -> Iterator[tuple[str, Node]]:
    """Full type with version, and the object, of everything that a template makes."""
    for node in nodes(tree, "resource_declaration"):
        if not re.match(r"resource \w+ '[^']+' existing ", text(node)):
            yield _full_type(node), next(nodes(node.named_children[-1], "object"))


def complaints(tree: Node) -> list[str]:
    """What Azure's models do not know or miss in a template, each with its line."""
    variables = {name: node.named_children[-1] for name, node in declared(tree, "variable").items()}
    checker = _Checker(variables)
    for name, body in resources(tree):
        if name in TYPES:
            checker.look(body, TYPES[name], name.split("@")[0], own=BICEPS_OWN)
        else:
            checker.complain(body, f"nothing is recorded of {name}")
    return checker.found


class _Checker:
    def __init__(self, variables: Mapping[str, Node]) -> None:
        self._variables = variables
        self.found: list[str] = []

    def complain(self, node: Node, what: str) -> None:
        self.found.append(f"line {node.start_point[0] + 1}: {what}")

    def look(self, node: Node, shape: Any, where: str, *, own: Set[str] = frozenset(), whole: bool = True) -> None:
        """Hold an expression against a shape; ``whole`` unless it is one part of a union."""
        shape = MODELS[shape["ref"]] if isinstance(shape, dict) and "ref" in shape else shape
        match node.type:
            case "identifier" if text(node) in self._variables:
                self.look(self._variables[text(node)], shape, where, own=own, whole=whole)
            case "ternary_expression":
                for branch in node.named_children[1:]:
                    self.look(branch, shape, where, own=own, whole=whole)
            case "call_expression":
                self._call(node, shape, where)
            case "object":
                self._object(node, shape, where, own, whole)
            case "array" | "for_statement":
                items = node.named_children if node.type == "array" else node.named_children[-1:]
                self._items(node, items, shape, where)
            case "string" | "boolean" | "number":
                self._plain(node, shape, where)

    def _call(self, node: Node, shape: Any, where: str) -> None:
        name, arguments = text(node.named_children[0]), node.named_children[1].named_children
        if name == "union":
            for part in arguments:
                self.look(part, shape, where, whole=False)
        elif name == "map":
            self._items(node, [arguments[1].named_children[-1]], shape, where)

    def _items(self, node: Node, items: list[Node], shape: Any, where: str) -> None:
        if not isinstance(shape, dict) or "list" not in shape:
            if shape != "any":
                self.complain(node, f"{where} is no list")
            return
        for before, item in zip([None, *items], items, strict=False):
            # The grammar takes the index in ``[scopes[name]]`` for a second item.
            if before is None or before.end_byte != item.start_byte:
                self.look(item, shape["list"], f"{where}[]")

    def _plain(self, node: Node, shape: Any, where: str) -> None:
        written = _WRITTEN.get(node.type, "string")
        if isinstance(shape, dict) and "words" in shape:
            word = text(node).strip("'")
            if "${" not in word and word not in shape["words"]:
                self.complain(node, f"{where} is {word}, and is known as {', '.join(shape['words'])}")
        elif shape not in (written, "any"):
            wanted = shape if isinstance(shape, str) else next(iter(shape))
            self.complain(node, f"{where} is of the type {written}, and should be {wanted}")

    def _object(self, node: Node, shape: Any, where: str, own: Set[str], whole: bool) -> None:
        if shape == "any":
            return
        if not isinstance(shape, dict) or not shape.keys() & {"properties", "map"}:
            self.complain(node, f"{where} is no object")
            return
        given = {text(one.named_children[0]).strip("'"): one.named_children[-1] for one in _pairs(node)}
        if "map" in shape:
            for key, value in given.items():
                self.look(value, shape["map"], f"{where}.{key}")
            return
        known = self._kind(given, shape)
        for key, value in given.items():
            if key in known["properties"]:
                self.look(value, known["properties"][key], f"{where}.{key}")
            elif key not in own:
                self.complain(value, f"{where} has no {key}")
        if whole and (missing := set(known["required"]) - given.keys()):
            self.complain(node, f"{where} lacks {', '.join(sorted(missing))}")

    def _kind(self, given: Mapping[str, Node], shape: Any) -> Any:
        """The model that the object's discriminator names, if it has one that is known."""
        word = text(given[shape["by"]]).strip("'") if shape.get("by") in given else ""
        kind = shape.get("kinds", {}).get(word)
        return MODELS[kind["ref"]] if kind else shape


def _pairs(node: Node) -> list[Node]:
    """The properties of an object, without resources that are declared within it."""
    found = [one for one in node.named_children if one.type == "object_property"]
    return [one for one in found if one.named_children[0].type != "resource_declaration"]


def _full_type(node: Node) -> str:
    """``Microsoft.Web/sites/config@2024-04-01`` also where it is declared within the site as ``config``."""
    name = text(node.named_children[1]).strip("'")
    outer = node.parent
    while outer is not None and outer.type != "resource_declaration":
        outer = outer.parent
    if outer is None or "@" in name:
        return name
    parent, version = text(outer.named_children[1]).strip("'").split("@")
    return f"{parent}/{name}@{version}"
