"""Writes tests/assets/azure_types.json: what Microsoft's management models know of each resource of the templates.

The models are of the very API versions that the templates name. They are some hundred megabytes, so they are not among
this project's requirements. After a template names another type or version:

    python -m venv /tmp/models && /tmp/models/bin/pip install $(python scripts/write_azure_types.py --packages)
    /tmp/models/bin/python scripts/write_azure_types.py
    /tmp/models/bin/pip install azure-mgmt-monitor==6.0.2 && /tmp/models/bin/python scripts/write_azure_types.py

The last line is for a version that newer packages have dropped: what was recorded from others stays.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

TARGET = Path(__file__).parent.parent / "tests/assets/azure_types.json"
PACKAGES = {
    "applicationinsights": "4.1.0",
    "authorization": "4.0.0",
    "eventgrid": "10.4.0",
    "eventhub": "11.2.0",
    "iothub": "4.0.0",
    "iothubprovisioningservices": "2.1.0",
    "keyvault": "10.3.1",
    "loganalytics": "13.0.0b6",
    "monitor": "7.0.0",
    "msi": "7.0.0",
    "network": "25.4.0",
    "resource": "23.4.0",
    "servicebus": "8.2.1",
    "storage": "21.2.1",
    "web": "8.0.0",
}
_DIAGNOSTICS = "monitor.v2021_05_01_preview"
OLDER = {_DIAGNOSTICS: "6.0.2"}
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices"
_EVENTS = "eventSubscriptions@2025-02-15"
ROOTS = {
    "Microsoft.Authorization/roleAssignments@2022-04-01": "authorization.v2022_04_01.RoleAssignmentCreateParameters",
    "Microsoft.Authorization/roleDefinitions@2022-04-01": "authorization.v2022_04_01.RoleDefinition",
    "Microsoft.Devices/IotHubs@2023-06-30": "iothub.v2023_06_30.IotHubDescription",
    "Microsoft.Devices/provisioningServices@2026-11-01": "iothubprovisioningservices.ProvisioningServiceDescription",
    "Microsoft.EventGrid/systemTopics@2025-02-15": "eventgrid.SystemTopic",
    f"Microsoft.EventGrid/systemTopics/{_EVENTS}": "eventgrid.EventSubscription",
    "Microsoft.EventGrid/topics@2025-02-15": "eventgrid.Topic",
    f"Microsoft.EventGrid/topics/{_EVENTS}": "eventgrid.EventSubscription",
    "Microsoft.EventHub/namespaces@2024-01-01": "eventhub.v2024_01_01.EHNamespace",
    "Microsoft.EventHub/namespaces/eventhubs@2024-01-01": "eventhub.v2024_01_01.Eventhub",
    "Microsoft.Insights/actionGroups@2023-01-01": "monitor.ActionGroupResource",
    "Microsoft.Insights/components@2020-02-02": "applicationinsights.v2020_02_02.ApplicationInsightsComponent",
    "Microsoft.Insights/diagnosticSettings@2021-05-01-preview": f"{_DIAGNOSTICS}.DiagnosticSettingsResource",
    "Microsoft.Insights/metricAlerts@2018-03-01": "monitor.MetricAlertResource",
    "Microsoft.Insights/scheduledQueryRules@2023-12-01": "monitor.ScheduledQueryRuleResource",
    "Microsoft.Insights/workbooks@2023-06-01": "applicationinsights.v2023_06_01.Workbook",
    "Microsoft.KeyVault/vaults@2023-07-01": "keyvault.v2023_07_01.VaultCreateOrUpdateParameters",
    "Microsoft.KeyVault/vaults/keys@2023-07-01": "keyvault.v2023_07_01.KeyCreateParameters",
    "Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31": "msi.v2023_01_31.Identity",
    "Microsoft.Network/virtualNetworks@2023-11-01": "network.VirtualNetwork",
    "Microsoft.OperationalInsights/workspaces@2022-10-01": "loganalytics.Workspace",
    "Microsoft.Resources/resourceGroups@2024-07-01": "resource.resources.v2024_07_01.ResourceGroup",
    "Microsoft.ServiceBus/namespaces@2022-10-01-preview": "servicebus.v2022_10_01_preview.SBNamespace",
    "Microsoft.ServiceBus/namespaces/queues@2022-10-01-preview": "servicebus.v2022_10_01_preview.SBQueue",
    "Microsoft.Storage/storageAccounts@2023-05-01": "storage.v2023_05_01.StorageAccountCreateParameters",
    f"{_BLOBS}@2023-05-01": "storage.v2023_05_01.BlobServiceProperties",
    f"{_BLOBS}/containers@2023-05-01": "storage.v2023_05_01.BlobContainer",
    f"{_BLOBS}/containers/immutabilityPolicies@2023-05-01": "storage.v2023_05_01.ImmutabilityPolicy",
    "Microsoft.Storage/storageAccounts/managementPolicies@2023-05-01": "storage.v2023_05_01.ManagementPolicy",
    "Microsoft.Storage/storageAccounts/tableServices@2023-05-01": "storage.v2023_05_01.TableServiceProperties",
    "Microsoft.Storage/storageAccounts/tableServices/tables@2023-05-01": "storage.v2023_05_01.Table",
    "Microsoft.Web/serverfarms@2024-04-01": "web.v2024_04_01.AppServicePlan",
    "Microsoft.Web/sites@2024-04-01": "web.v2024_04_01.Site",
    "Microsoft.Web/sites/config@2024-04-01": "web.v2024_04_01.StringDictionary",
}
_PLAIN = {"str": "string", "int": "int", "long": "int", "float": "int", "bool": "bool"}
_TIMES = {"duration", "iso-8601"}

Shape = dict[str, Any] | str


def known_words(model: type, attribute: str) -> list[str]:
    """The values that the model's documentation lists for an attribute; empty where it lists none."""
    said = re.split(r":ivar (\w+): ", model.__doc__ or "")
    meaning = dict(zip(said[1::2], said[2::2], strict=True)).get(attribute, "").split(":vartype")[0]
    listed = re.split(r"Known\s+values\s+are:|Possible\s+values\s+include:", meaning)[1:]
    return re.findall(r'"([^"]+)"', listed[0]) if listed else []


class Models:
    """All models that the roots lead to."""

    def __init__(self) -> None:
        self.known: dict[str, Shape] = {}

    def shape(self, home: str, kind: str) -> Shape:
        """What a type expression of the models means, such as ``[SiteConfig]``."""
        if kind.startswith(("[", "{")):
            return {"list" if kind.startswith("[") else "map": self.shape(home, kind[1:-1])}
        if kind in _PLAIN:
            return _PLAIN[kind]
        if kind in _TIMES:
            return "string"
        return self.model(home, kind) if kind[0].isupper() else "any"

    def model(self, home: str, name: str) -> Shape:
        """A reference to a model, which is read first where it is new."""
        full = f"{home}.{name}"
        if full not in self.known:
            self.known[full] = {}  # they may refer to themselves
            self.known[full] = self._read(home, getattr(_module(home), name))
        return {"ref": full}

    def _read(self, home: str, model: Any) -> Shape:
        if not hasattr(model, "_attribute_map"):
            return self._read_typed(home, model)
        shape: dict[str, Any] = {"properties": {}, "required": []}
        for attribute, entry in model._attribute_map.items():
            rules = model._validation.get(attribute, {})
            if entry["key"] and not rules.get("readonly") and not rules.get("constant"):
                words = known_words(model, attribute) if entry["type"] == "str" else []
                self._put(shape, entry["key"], words or self.shape(home, entry["type"]), bool(rules.get("required")))
        for discriminator, kinds in vars(model).get("_subtype_map", {}).items():
            key = model._attribute_map[discriminator]["key"].replace("\\", "")
            shape |= {"by": key, "kinds": {word: self.model(home, kind) for word, kind in kinds.items()}}
        return shape

    def _read_typed(self, home: str, model: Any) -> Shape:
        """A model of newer packages, which say it all in type hints."""
        shape: dict[str, Any] = {"properties": {}, "required": []}
        module = sys.modules[model.__module__]
        hints = get_type_hints(model, {**vars(module), "_models": _module(home)})
        model.__new__(model)  # it learns its own fields when it is first made
        for attribute, field in model._attr_to_rest_field.items():
            if field._visibility != ["read"]:
                kinds = [kind for kind in alternatives(hints[attribute]) if kind is not type(None)]
                words = known_words(model, attribute) if kinds[0] is str else []
                is_required = len(kinds) == len(alternatives(hints[attribute]))
                self._put(shape, field._rest_name, words or self._shape_of(home, kinds[0]), is_required)
        return shape

    def _shape_of(self, home: str, kind: Any) -> Shape:
        """What a type hint means."""
        if get_origin(kind) in (list, dict):
            return {"list" if get_origin(kind) is list else "map": self._shape_of(home, get_args(kind)[-1])}
        if kind.__module__.endswith("._models"):
            return self.model(home, kind.__name__)
        return _PLAIN.get(getattr(kind, "__name__", ""), "any")

    def _put(self, shape: dict[str, Any], key: str, value: object, required: bool) -> None:
        """Put a property where its key says; ``properties.sku`` is one of the object ``properties``."""
        *outer, name = [part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", key)]
        for step in outer:
            if required and step not in shape["required"]:
                shape["required"].append(step)
            shape = shape["properties"].setdefault(step, {"properties": {}, "required": []})
        shape["properties"][name] = {"words": value} if isinstance(value, list) else value
        if required:
            shape["required"].append(name)


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union; anything else by itself."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _module(home: str) -> Any:
    return importlib.import_module(f"azure.mgmt.{home}.models")


def is_here(path: str) -> bool:
    """Whether the package is installed that a root is to be read from."""
    home, package = path.rsplit(".", 1)[0], path.split(".", 1)[0]
    try:
        return version(f"azure-mgmt-{package}") == OLDER.get(home, PACKAGES[package])
    except PackageNotFoundError:
        return False


def recorded() -> dict[str, Any]:
    """What the file says of types that cannot be read now."""
    if not TARGET.exists():
        return {"types": {}, "models": {}}
    told: dict[str, Any] = json.loads(TARGET.read_text())
    types = {name: shape for name, shape in told["types"].items() if name in ROOTS and not is_here(ROOTS[name])}
    homes = tuple(shape["ref"].rsplit(".", 1)[0] + "." for shape in types.values())
    return {"types": types, "models": {name: shape for name, shape in told["models"].items() if name.startswith(homes)}}


def main() -> None:
    """Write the file, or print what has to be installed before."""
    if "--packages" in sys.argv:
        sys.stdout.write(" ".join(f"azure-mgmt-{name}=={number}" for name, number in PACKAGES.items()))
        return
    models, kept = Models(), recorded()
    fresh = {name: models.model(*path.rsplit(".", 1)) for name, path in ROOTS.items() if is_here(path)}
    types = {name: shape for name, shape in (kept["types"] | fresh).items() if name in ROOTS}
    lines = [
        f" {json.dumps(key)}: {json.dumps(shape)}" for key, shape in sorted((kept["models"] | models.known).items())
    ]
    head = f'{{"types": {json.dumps(types, indent=1, sort_keys=True)},\n'
    TARGET.write_text(head + '"models": {\n' + ",\n".join(lines) + "\n}}\n")


if __name__ == "__main__":
    main()
