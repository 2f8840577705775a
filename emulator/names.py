"""Names that several processes of the local cloud agree on."""

KEY_NAME = "RootManageSharedAccessKey"
SETTINGS_FILE = "settings.json"
KEYS_FILE = "function-keys.json"
EVENTS_QUEUE = "localcloud-blob-events"
BLOB_QUEUE_PREFIX = "azure-webjobs-blobtrigger-"
VAULT_FILE = "vault.json"
STATE_FILE = "state.sqlite"
