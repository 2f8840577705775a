"""Storage queues with the host's message form: base64 text."""

from azure.core.exceptions import ResourceExistsError
from azure.storage.queue import TextBase64DecodePolicy, TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient


def open_queue(connection: dict[str, str], name: str) -> QueueClient:
    """A client for a queue of the account behind a connection."""
    return QueueClient.from_connection_string(
        connection["connectionString"],
        name,
        message_encode_policy=TextBase64EncodePolicy(),
        message_decode_policy=TextBase64DecodePolicy(),
    )


async def make_queue(queue: QueueClient) -> None:
    """Create the queue unless it exists."""
    try:
        await queue.create_queue()
    except ResourceExistsError:
        return
