"""How many blobs wait for a function, read from the storage queues that the blob trigger uses."""

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue.aio import QueueServiceClient

from emulator.names import BLOB_QUEUE_PREFIX, EVENTS_QUEUE


class QueueDepths:
    """Counts messages, those under way included.

    Args:
        connection_string: the storage account.
    """

    def __init__(self, connection_string: str) -> None:
        self._queues = QueueServiceClient.from_connection_string(connection_string)

    async def read(self) -> dict[str, int]:
        """Messages by queue name: the events' own queue, and one queue for each blob function."""
        names = [each.name async for each in self._queues.list_queues(name_starts_with=BLOB_QUEUE_PREFIX)]
        return {name: await self._count(name) for name in [EVENTS_QUEUE, *names]}

    async def _count(self, name: str) -> int:
        try:
            properties = await self._queues.get_queue_client(name).get_queue_properties()
        except ResourceNotFoundError:
            return 0
        return properties.approximate_message_count or 0

    async def close(self) -> None:
        await self._queues.close()
