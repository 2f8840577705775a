"""HTTP route templates."""

import pytest

from emulator.host.routes import RouteTemplate, matches


@pytest.mark.parametrize(
    ("template", "path", "expected"),
    [
        ("api/things", "/api/things", {}),
        ("api/things", "/API/Things/", {}),
        ("api/things", "/api/things/1", None),
        ("api/things/{id}", "/api/things/a%23%3Fb", {"id": "a#?b"}),
        ("api/things/{id}", "/api/things/a%2Fb", {"id": "a%2Fb"}),
        ("api/things/{id}", "/api/things/", None),
        ("api/things/{id?}", "/api/things", {}),
        ("api/things/{id:int}", "/api/things/12", {"id": "12"}),
        ("api/things/{id:int}", "/api/things/x", None),
        ("api/files/{*path}", "/api/files/a/b%20c/d.json", {"path": "a/b c/d.json"}),
        ("api/files/{*path}", "/api/files", {"path": ""}),
        ("", "/", {}),
    ],
)
def test_a_template_matches_like_azure(template: str, path: str, expected: dict[str, str] | None) -> None:
    assert RouteTemplate.parse(template).match(path) == expected


def test_the_most_specific_route_comes_first() -> None:
    templates = ["api/{*rest}", "api/{id}", "api/{id:int}", "api/fixed"]
    routes = {RouteTemplate.parse(template): template for template in templates}
    found = {path: [each for each, _ in matches(routes, f"/api/{path}")] for path in ("fixed", "12", "x/y")}
    assert found["fixed"] == ["api/fixed", "api/{id}", "api/{*rest}"]
    assert found["12"] == ["api/{id:int}", "api/{id}", "api/{*rest}"]
    assert found["x/y"] == ["api/{*rest}"]
