"""The pages about Azure: what their commands name is there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from cli.__main__ import make_parser
from tests.support.bicep import INFRA, ROOT, declared, parse

PAGES = [ROOT / "docs" / name for name in ("azure.md", "core-tools.md", "private-networking.md")]
OUTPUTS = set(declared(parse((INFRA / "main.bicep").read_bytes()), "output"))
OF_THE_SHELL = {"PATH", "PWD", "EDITOR"}
TOPS = r"(?:infra|scripts|docs|tests|\.venv/bin)/"


def blocks(page: Path) -> list[str]:
    """What the page has to be typed."""
    return re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.M | re.S)


def typed(page: Path) -> list[list[str]]:
    """The ``groundswell`` commands of the page's blocks, as words."""
    text = re.sub(r"^\s*#.*", "", "\n".join(blocks(page)).replace("\\\n", " "), flags=re.M)
    return [shlex.split(line, comments=True) for line in re.findall(r"groundswell (?=[a-z])([^\n&|;)]+)", text)]


def told(page: Path) -> list[list[str]]:
    """The ``groundswell`` commands of the page's sentences, which may leave out what they need."""
    return [shlex.split(line) for line in re.findall(r"`groundswell ([^`]+)`", page.read_text())]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_good_shell(page: Path) -> None:
    for block in blocks(page):
        done = subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_variable_is_an_output_of_the_template_or_set_on_the_page(page: Path) -> None:
    text = "\n".join(blocks(page))
    given = set(re.findall(r"\b([A-Za-z_]\w*)=", text)) | set(re.findall(r"\bfor (\w+) in", text))
    used = set(re.findall(r"\$\{?([A-Za-z_]\w*)", text))
    assert used - given - OF_THE_SHELL <= OUTPUTS
    assert set(re.findall(r"get-value (\w+)", page.read_text())) <= OUTPUTS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    named = set(re.findall(rf"(?<![\w./-]){TOPS}[\w./-]+\w", page.read_text()))
    assert [name for name in sorted(named) if not (ROOT / name).exists() and not name.startswith(".venv")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text()):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", file.read_text(), re.M)
            slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in slugs, f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_to_be_typed_is_understood(page: Path) -> None:
    for words in typed(page):
        make_parser().parse_args(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_in_a_sentence_exists_with_its_options(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in told(page):
        with pytest.raises(SystemExit) as shown:
            make_parser().parse_args([*(word for word in words if not word.startswith("-")), "--help"])
        assert shown.value.code == 0, words
        usage = capsys.readouterr().out
        assert [word for word in words if word.startswith("-") and word not in usage] == []


def test_the_pages_have_commands_of_ours() -> None:
    found = [words[:2] for page in PAGES for words in [*typed(page), *told(page)]]
    for one in ("keys publish", "publisher sign", "stop --reason", "devices restore", "local core-tools"):
        assert one.split() in found, one


def test_what_is_set_for_azd_is_a_parameter() -> None:
    parameters = (INFRA / "main.parameters.json").read_text()
    known = set(re.findall(r"\$\{(\w+)", parameters))
    for page in PAGES:
        assert set(re.findall(r"azd env set (\w+)", page.read_text())) <= known | {"AZURE_SUBSCRIPTION_ID"}
    # And each that is not made up by azd itself is told of somewhere.
    told = "".join(page.read_text() for page in PAGES)
    assert [name for name in known - {"AZURE_ENV_NAME", "AZURE_PRINCIPAL_ID"} if name not in told] == []


def test_hooks_that_are_to_be_run_again_are_hooks() -> None:
    hooks = yaml.safe_load((ROOT / "azure.yaml").read_text())["hooks"]
    assert {name for page in PAGES for name in re.findall(r"azd hooks run (\w+)", page.read_text())} == set(hooks)


def test_roles_that_are_given_by_hand_are_known() -> None:
    roles = json.loads((INFRA / "roles.json").read_text())
    known = {f"{name} ($AZURE_RESOURCE_GROUP)" for name in roles["custom"]} | set(roles["builtIn"])
    given = {role for page in PAGES for role in re.findall(r'--role "([^"]+)"', page.read_text())}
    assert given - known == {"IoT Hub Registry Contributor", "Device Provisioning Service Data Contributor"}
    keys = re.findall(r"^var keys = \[(.*)\]", (INFRA / "modules/keyvault.bicep").read_text(), re.M)[0]
    assert f"for key in {' '.join(re.findall(r'[a-z]+', keys))}; do" in PAGES[0].read_text()


def test_containers_and_tables_of_the_page_exist_and_none_is_left_out_of_the_backup() -> None:
    storage = json.loads((INFRA / "local/cloud.json").read_text())["storage"]
    section = PAGES[0].read_text().split("## Backup and restore")[1].split("\n## ")[0]
    first = "\n".join(re.findall(r"^\| ([^|]+) \|", section, re.M))
    named = set(re.findall(r"`([\w-]+)`", first))
    passing = {"incoming", "quarantine", "logs", "dead-events"}
    assert set(storage["tables"]) <= named
    assert set(storage["containers"]) - passing <= named
    assert passing.isdisjoint(named)


def test_no_private_key_that_lies_about_is_deployed_or_committed() -> None:
    for name in (".funcignore", ".gitignore"):
        ignored = (ROOT / name).read_text().split()
        assert "*.pem" in ignored
        assert {"ceremony", "ceremony/"} & set(ignored)
    # What the service is born with is deployed.
    kept = {"1.root.json", "trust.toml", "prices.toml", "requirements.txt", "host.json", "shared", "function_app.py"}
    ignored = (ROOT / ".funcignore").read_text().split()
    assert [name for name in kept if any(Path(name).match(pattern) for pattern in ignored)] == []
