"""Bicep templates by their grammar: whether they parse, which files and parameters they name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
_PARSER = Parser(Language(tree_sitter_bicep.language()))


def templates() -> list[Path]:
    """All templates of the project."""
    return sorted(INFRA.rglob("*.bicep"))


def parse(source: bytes) -> Node:
    """The syntax tree of a template."""
    return _PARSER.parse(source).root_node


def nodes(tree: Node, kind: str) -> Iterator[Node]:
    """All nodes of a kind, in the order of the text."""
    if tree.type == kind:
        yield tree
    for child in tree.children:
        yield from nodes(child, kind)


def mistakes(tree: Node) -> list[str]:
    """Where the text is not Bicep."""
    wrong = [f"line {tree.start_point[0] + 1}"] if tree.type == "ERROR" or tree.is_missing else []
    return wrong + [mistake for child in tree.children for mistake in mistakes(child)]


def text(node: Node | None) -> str:
    """A node as written."""
    return node.text.decode() if node is not None and node.text is not None else ""


def declared(tree: Node, keyword: str) -> dict[str, Node]:
    """The declarations of a kind (``parameter``, ``output``, ``variable``, ``module``, ``resource``) by name."""
    return {text(node.named_children[0]): node for node in _declarations(tree, f"{keyword}_declaration")}


def _declarations(tree: Node, kind: str) -> Iterator[Node]:
    for node in nodes(tree, kind):
        names = [child for child in node.named_children if child.type == "identifier"]
        if names and node.named_children[0] == names[0]:
            yield node


def properties(node: Node) -> dict[str, Node]:
    """The properties of the first object within, by name."""
    first = next(nodes(node, "object"))
    return {
        text(one.named_children[0]).strip("'"): one for one in first.named_children if one.type == "object_property"
    }
