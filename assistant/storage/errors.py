"""What can go wrong with storage.

StorageError            the database refused or cannot be opened
├── StorageBusy         it is locked or away for the moment: try again
└── Conflict            somebody else has saved since this was read
"""


class StorageError(Exception):
    """The message says what was found and what to do."""


class StorageBusy(StorageError):
    """Locked, full or out of reach for now."""


class Conflict(StorageError):
    """What was read is no longer what is stored."""
