"""What an operator does with the service: drop artifacts, start campaigns, look at tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import requests
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient

from cli.local import LocalStack
from demo.artifacts import Artifact
from shared.wire.sidecars import SIGNATURE

TIMEOUT_S = 30


class Operator:
    """An operator with a storage connection and a function key."""

    def __init__(self, stack: LocalStack) -> None:
        self._api = stack.api
        self._session = requests.Session()
        self._session.headers["x-functions-key"] = stack.cloud.host_key
        self._blobs = BlobServiceClient.from_connection_string(stack.settings["Storage"])
        self._tables = TableServiceClient.from_connection_string(stack.settings["Storage"])

    def drop(self, artifact: Artifact) -> None:
        """Upload an artifact into ``incoming``, its signature first."""
        if artifact.signature is not None:
            signature = self._blobs.get_blob_client("incoming", artifact.blob_name + SIGNATURE)
            signature.upload_blob(artifact.signature, overwrite=True)
        blob = self._blobs.get_blob_client("incoming", artifact.blob_name)
        with artifact.path.open("rb") as content:
            blob.upload_blob(content, overwrite=True, metadata=artifact.metadata)

    def waiting_artifacts(self) -> list[str]:
        """What still lies in ``incoming``."""
        return [blob.name for blob in self._blobs.get_container_client("incoming").list_blobs()]

    def refusals(self) -> list[dict[str, Any]]:
        """The reasons beside the artifacts in ``quarantine``."""
        quarantine = self._blobs.get_container_client("quarantine")
        names = [blob.name for blob in quarantine.list_blobs() if blob.name.endswith(".reason.json")]
        return [json.loads(quarantine.download_blob(name).readall()) for name in names]

    def query(self, table: str, query_filter: str, **parameters: Any) -> list[dict[str, Any]]:
        """The rows a table query finds."""
        found = self._tables.get_table_client(table).query_entities(query_filter, parameters=parameters or None)
        return [dict(row) for row in found]

    def start_campaign(self, campaign: Mapping[str, Any], *, key: str) -> str:
        """Post a campaign; its id. The key makes a second post the same campaign."""
        answer = self._session.post(
            f"{self._api}/campaigns",
            json=campaign,
            headers={"Idempotency-Key": key},
            timeout=TIMEOUT_S,
        )
        answer.raise_for_status()
        return str(answer.json()["id"])

    def campaign(self, campaign: str) -> dict[str, Any]:
        """A campaign with its waves."""
        answer = self._session.get(f"{self._api}/campaigns/{campaign}", timeout=TIMEOUT_S)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found
