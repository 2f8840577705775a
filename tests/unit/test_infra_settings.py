"""One list of settings: code, sample, templates and page name the same ones, and say nothing twice differently."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from shared.configuration.listed import Place, Setting, UsedBy
from shared.domain.hub_sizes import HubTier
from shared.settings import SETTINGS, SettingsError, read_bus_connection, read_settings
from tests.support.bicep import INFRA, ROOT, declared, parse, properties, text

LISTED = {setting.name: setting for setting in SETTINGS}
IDENTITY_OF_A_TRIGGER = {"credential", "clientId"}
SAMPLE: dict[str, str] = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]


def _names(*places: Place) -> set[str]:
    return {setting.name for setting in SETTINGS if setting.place in places}


def _template() -> dict[str, str]:
    """The settings of the function apps as written: a literal in quotes, or an expression."""
    given = properties(declared(parse((INFRA / "modules/app.bicep").read_bytes()), "variable")["settings"])
    return {name: text(node.named_children[1]) for name, node in given.items()}


def _literals(values: dict[str, str]) -> dict[str, str]:
    """What a template says in so many words."""
    return {name: value.strip("'") for name, value in values.items() if re.fullmatch(r"'[^$@]*'", value)}


class _Asked(dict[str, str]):
    """An environment that remembers what was looked up in it."""

    def __init__(self, **values: str) -> None:
        super().__init__(values)
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return super().get(key, default)


def test_the_list_has_every_setting_once() -> None:
    assert len(LISTED) == len(SETTINGS)


def test_the_code_asks_for_what_the_list_says_and_for_nothing_else() -> None:
    environment = _Asked(AUTH_MODE="entra")
    with pytest.raises(SettingsError):
        read_settings(environment)
    with pytest.raises(SettingsError):
        read_bus_connection(environment)
    own = [setting for setting in SETTINGS if setting.used_by is not UsedBy.HOST]
    identities = {name for setting in own for name in setting.by_identity}
    clients = {f"{setting.name}__clientId" for setting in own if setting.identity}
    assert environment.names == {setting.name for setting in own} | identities | clients


def test_the_sample_has_the_settings_of_a_laptop() -> None:
    assert set(SAMPLE) == _names(Place.EVERYWHERE, Place.LOCAL)


def test_the_template_has_the_settings_of_azure() -> None:
    template = {name.partition("__")[0] for name in _template()}
    assert template == _names(Place.EVERYWHERE, Place.AZURE)


@pytest.mark.parametrize("setting", [one for one in SETTINGS if one.identity], ids=lambda one: one.name)
def test_in_azure_connections_are_opened_by_the_identity(setting: Setting) -> None:
    given = {name for name in _template() if name.partition("__")[0] == setting.name}
    hosts = {f"{setting.name}__{suffix}" for suffix in IDENTITY_OF_A_TRIGGER}
    assert given - hosts == set(setting.by_identity)
    # No trigger listens to the hub itself, so that the host needs no identity for it.
    assert given & hosts == (set() if setting.name == "IotHub" else hosts)


def test_the_page_names_all_of_them_with_what_holds_unless_they_are_set() -> None:
    section = (ROOT / "docs/azure.md").read_text().split("## Settings")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| [^|]+ \|$", section, re.M)
    assert len(rows) == len(dict(rows))
    assert {name: default.strip() for name, default in rows} == {setting.name: _shown(setting) for setting in SETTINGS}


def _shown(setting: Setting) -> str:
    if setting.used_by is UsedBy.HOST or setting.default is None:
        return "–" if setting.used_by is UsedBy.HOST else "**must be set**"
    return f"`{setting.default}`" if setting.default else "nothing"


def test_what_sample_and_template_set_is_allowed_and_the_same_as_the_default() -> None:
    sample = {name: value for name, value in SAMPLE.items() if not value.startswith("<")}
    template = _literals(_template())
    for values in (sample, template):
        for name, value in values.items():
            if name in LISTED:
                setting = LISTED[name]
                assert value == "" or setting.rule(value) == "", name
                assert setting.default in (None, value), name
    both = (sample.keys() & template.keys()) - {"KEYS_URI"}
    assert {name for name in both if sample[name] != template[name]} == set()
    assert {"LINK_LIFETIME_S", "RECONCILE_QUIET_S", "TWIN_WRITER", "TWIN_CHANGES_HUB"} <= both


def test_ticket_keys_are_the_newest_version_of_the_secret_that_the_hook_makes() -> None:
    """A version in the reference would end rotations; a SecretUri without one is read in two ways (docs/azure.md)."""
    given = _template()["TICKET_KEYS"]
    assert given == "'@Microsoft.KeyVault(VaultName=${vaultName};SecretName=ticket-keys)'"
    assert "vaultName: keyvault.outputs.name" in (INFRA / "main.bicep").read_text()
    assert "output name string = vault.name" in (INFRA / "modules/keyvault.bicep").read_text()
    hook = (ROOT / "scripts/azure/ticket-keys").read_text()
    assert 'az keyvault secret set --vault-name "$KEY_VAULT" --name ticket-keys ' in hook
    assert not [path for path in INFRA.rglob("*.bicep") if "KeyVault(SecretUri" in path.read_text()]


def test_parameters_of_the_deployment_have_the_same_defaults_and_words() -> None:
    given: dict[str, dict[str, str]] = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    asked = [re.fullmatch(r"\$\{(\w+)(?:=(.*))?\}", one["value"]) for one in given.values()]
    defaults = {found[1]: found[2] for found in asked if found is not None and found[1] in LISTED}
    assert set(defaults) == {"HUB_TIER", "HUB_UNITS", "AUTH_MODE", "ENTRA_TENANT_ID", "ENTRA_AUDIENCE"}
    assert {name: LISTED[name].default for name in defaults} == defaults

    main = (INFRA / "main.bicep").read_text()
    allowed = dict(re.findall(r"@allowed\(\[([^]]*)\]\)\nparam (\w+)", main)[::-1])
    words = {parameter: re.findall(r"'([^']+)'", listed) for listed, parameter in allowed.items()}
    # The free tier is for a try-out by hand: 8,000 messages a day are no fleet.
    assert words["hubTier"] == [tier for tier in HubTier if tier is not HubTier.F1]
    assert all(LISTED["AUTH_MODE"].rule(word) == "" for word in words["authMode"])
