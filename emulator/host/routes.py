"""HTTP route templates as ASP.NET Core matches them: `a/{name}`, `{name?}`, `{name:int}`, `{*rest}`."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

_PARAMETER = re.compile(r"^\{(?P<rest>\*{0,2})(?P<name>\w+)(?P<rule>(?::[^}?]+)*)(?P<optional>\??)\}$")
_RULES = {
    "int": re.compile(r"^-?\d+$"),
    "long": re.compile(r"^-?\d+$"),
    "alpha": re.compile(r"^[A-Za-z]+$"),
    "bool": re.compile(r"^(?i:true|false)$"),
    "guid": re.compile(r"^(?i:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    literal: str | None
    name: str = ""
    takes_rest: bool = False
    optional: bool = False
    rule: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class RouteTemplate:
    """A parsed template. Literal segments match in any case, parameters non-empty segments."""

    segments: tuple[_Segment, ...]

    @classmethod
    def parse(cls, template: str) -> "RouteTemplate":
        """Parse a template such as `campaigns/{id}`, with or without slashes at its ends."""
        return cls(tuple(_parse_segment(part) for part in template.strip("/").split("/") if part))

    def match(self, raw_path: str) -> dict[str, str] | None:
        """Match a path as it came over the wire (still percent-encoded).

        Returns:
            Decoded parameters, or None where the path does not match. As in Azure, `%2F` stays encoded.
        """
        parts = raw_path.strip("/").split("/") if raw_path.strip("/") else []
        found: dict[str, str] = {}
        for index, segment in enumerate(self.segments):
            if segment.takes_rest:
                found[segment.name] = decode_path("/".join(parts[index:]))
                return found
            if index >= len(parts):
                return found if segment.optional else None
            if not _accepts(segment, decode_path(parts[index]), found):
                return None
        return found if len(parts) <= len(self.segments) else None

    @property
    def precedence(self) -> tuple[int, ...]:
        """Sort key: literals before rules, rules before plain parameters, those before `{*rest}`."""
        return tuple(_rank(segment) for segment in self.segments)


def decode_path(raw: str) -> str:
    """Percent-decode once, but leave `%2F`, which would otherwise become a separator."""
    return unquote(re.sub(r"%2f", quote("%2F"), raw, flags=re.IGNORECASE))


def _parse_segment(part: str) -> _Segment:
    match = _PARAMETER.match(part)
    if match is None:
        return _Segment(literal=part.lower())
    rules = [name for name in match["rule"].split(":") if name]
    return _Segment(
        literal=None,
        name=match["name"],
        takes_rest=bool(match["rest"]),
        optional=bool(match["optional"]),
        rule=_RULES.get(rules[0]) if rules else None,
    )


def _accepts(segment: _Segment, text: str, found: dict[str, str]) -> bool:
    if segment.literal is not None:
        return text.lower() == segment.literal
    if not text or (segment.rule is not None and not segment.rule.match(text)):
        return False
    found[segment.name] = text
    return True


def _rank(segment: _Segment) -> int:
    if segment.literal is not None:
        return 0
    if segment.takes_rest:
        return 3
    return 1 if segment.rule else 2


def matches[T](routes: Mapping[RouteTemplate, T], raw_path: str) -> Iterator[tuple[T, dict[str, str]]]:
    """Every route that matches, most specific first, with its parameters."""
    for template in sorted(routes, key=lambda each: each.precedence):
        parameters = template.match(raw_path)
        if parameters is not None:
            yield routes[template], parameters
