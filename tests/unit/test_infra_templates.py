"""The templates are Bicep, fit together, and say what the code needs."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from tree_sitter import Node

from shared.ports.bus import Queue
from shared.trust.signers import KeyRole
from tests.support.bicep import INFRA, ROOT, declared, mistakes, nodes, parse, properties, templates, text
from tests.support.functions import read_triggers

FUNCTIONS = {
    "contains", "empty", "endsWith", "environment", "filter", "guid", "int", "items", "join", "loadJsonContent", "map",
    "replace", "resourceGroup", "resourceId", "split", "string", "subscription", "subscriptionResourceId",
    "substring", "tenant", "toLower",
    "toObject", "trim", "union", "uniqueString",
}  # fmt: skip
DECORATORS = {"allowed", "description", "maxLength", "minLength", "secure"}


def _tree(name: str) -> Node:
    return parse((INFRA / name).read_bytes())


@pytest.mark.parametrize("template", templates(), ids=lambda path: path.name)
def test_every_template_is_bicep(template: Path) -> None:
    assert mistakes(parse(template.read_bytes())) == []


def test_what_is_not_bicep_is_found() -> None:
    assert mistakes(parse(b"resource x 'A/b@1' = {\n  name: \n"))


@pytest.mark.parametrize("template", templates(), ids=lambda path: path.name)
def test_every_name_that_is_used_is_declared(template: Path) -> None:
    tree = parse(template.read_bytes())
    kinds = ("parameter", "variable", "resource", "module")
    known = {name for kind in kinds for name in declared(tree, kind)} | FUNCTIONS | DECORATORS
    for kind in ("loop_variable", "loop_enumerator"):
        known |= {text(node) for node in nodes(tree, kind)}
    for kind in ("for_statement", "lambda_expression"):
        known |= {text(node.named_children[0]) for node in nodes(tree, kind)}
    used = set()
    for node in nodes(tree, "identifier"):
        parent = node.parent
        assert parent is not None
        is_key = parent.type == "object_property" and parent.named_children[0] == node
        is_name = parent.type.endswith("_declaration") and parent.named_children[0] == node
        if not is_key and not is_name:
            used.add(text(node))
    assert used <= known


def test_every_module_gets_exactly_its_parameters() -> None:
    for name, module in declared(_tree("main.bicep"), "module").items():
        target = _tree(text(module.named_children[1]).strip("'"))
        given = set(properties(properties(module)["params"]))
        wanted = declared(target, "parameter")
        demanded = {one for one, node in wanted.items() if "=" not in text(node)}
        assert demanded <= given <= set(wanted), name


def test_every_module_has_a_name() -> None:
    """Bicep before 0.34 demands one; later ones make templates in a newer language where one lacks."""
    for name, module in declared(_tree("main.bicep"), "module").items():
        assert "name" in properties(module), name


def test_a_hub_is_told_to_refuse_old_tls_only_where_it_can_be() -> None:
    """IoT Hub TLS support: a list of five regions, and only when the hub is made."""
    allowed = text(declared(_tree("modules/iothub.bicep"), "variable")["refusesOldTls"])
    regions = set(re.findall(r"'(\w+)'", allowed))
    assert regions == {"eastus", "southcentralus", "westus2", "usgovarizona", "usgovvirginia"}


def test_every_output_that_is_used_exists() -> None:
    main = (INFRA / "main.bicep").read_text()
    modules = {
        name: set(declared(_tree(text(node.named_children[1]).strip("'")), "output"))
        for name, node in declared(_tree("main.bicep"), "module").items()
    }
    used = re.findall(r"(\w+)(?:\[\d\])?\.outputs\.(\w+)", main)
    assert used
    assert [(module, output) for module, output in used if output not in modules[module]] == []


def test_parameters_of_the_file_are_those_of_the_template() -> None:
    given = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    assert set(given) == set(declared(_tree("main.bicep"), "parameter"))


@pytest.mark.parametrize("template", templates(), ids=lambda path: path.name)
def test_every_file_that_is_loaded_exists(template: Path) -> None:
    for path in re.findall(r"loadJsonContent\('([^']+)'\)", template.read_text()):
        assert (template.parent / path).is_file(), path


def test_scripts_know_only_what_the_template_puts_out() -> None:
    outputs = set(declared(_tree("main.bicep"), "output"))
    for script in sorted((ROOT / "scripts/azure").iterdir()):
        subprocess.run(["sh", "-n", str(script)], check=True)
        assert set(re.findall(r"\$\{?([A-Z][A-Z_]+)", script.read_text())) <= outputs, script.name


def test_queues_take_all_their_properties_from_the_local_cloud() -> None:
    document = json.loads((INFRA / "local/servicebus.json").read_text())
    [namespace] = document["UserConfig"]["Namespaces"]
    queues = {queue["Name"]: queue["Properties"] for queue in namespace["Queues"]}
    assert set(queues) == {queue.value for queue in Queue}

    given = properties(properties(declared(_tree("modules/servicebus.bicep"), "resource")["queue"])["properties"])
    sources = {name: text(node.named_children[1]).removeprefix("q.Properties.") for name, node in given.items()}
    assert all(name.lower() == source.lower() for name, source in sources.items())
    forwarding = {"ForwardTo", "ForwardDeadLetteredMessagesTo"}
    assert all(set(sources.values()) == set(queue) - forwarding for queue in queues.values())
    assert all(queue[name] == "" for queue in queues.values() for name in forwarding)


def test_sessions_are_as_the_triggers_expect() -> None:
    document = json.loads((INFRA / "local/servicebus.json").read_text())
    queues = {one["Name"]: one["Properties"] for one in document["UserConfig"]["Namespaces"][0]["Queues"]}
    triggers = [one for one in read_triggers().values() if one["type"] == "serviceBusTrigger"]
    assert {one["queueName"]: bool(one.get("isSessionsEnabled")) for one in triggers} == {
        name: queue["RequiresSession"] for name, queue in queues.items()
    }


def test_the_vault_has_a_key_for_each_role_the_service_signs_in() -> None:
    keys = text(declared(_tree("modules/keyvault.bicep"), "variable")["keys"])
    # By default the targets key stays with its owners (docs/trust.md).
    assert set(re.findall(r"'(\w+)'", keys)) == set(KeyRole) - {KeyRole.TARGETS}


def test_published_packages_cannot_change_and_the_timestamp_can() -> None:
    storage = _tree("modules/storage.bicep")
    policies = [text(node) for node in nodes(storage, "resource_declaration") if "immutabilityPolicies@" in text(node)]
    assert len(policies) == 1
    assert "parent: packages" in policies[0]


def test_nothing_is_reached_by_a_shared_key() -> None:
    source = {path.name: path.read_text() for path in templates()}
    assert source["storage.bicep"].count("allowSharedKeyAccess: false") == 2
    for name in ("servicebus.bicep", "eventhubs.bicep", "iothub.bicep", "eventgrid.bicep"):
        assert "disableLocalAuth: true" in source[name]
    assert "DisableLocalAuth: true" in source["monitoring.bicep"]
    assert not [name for name, body in source.items() if re.search(r"listKeys|connectionString\(", body)]


def test_every_subscription_is_retried_and_keeps_what_it_cannot_deliver() -> None:
    resources = declared(_tree("subscriptions.bicep"), "resource")
    made = [text(node) for node in resources.values() if "eventSubscriptions@" in text(node)]
    assert len(made) == 3
    assert all("retryPolicy:" in one and "deadLetterWithResourceIdentity: deadLetters" in one for one in made)
    known = json.loads((INFRA / "local/cloud.json").read_text())
    subscriptions = known["eventGrid"]["subscriptions"]
    functions = {name for name, one in read_triggers().items() if one["type"] == "eventGridTrigger"}
    assert {one["function"] for one in subscriptions} == functions
    assert {one["deadLetterContainer"] for one in subscriptions} <= set(known["storage"]["containers"])
