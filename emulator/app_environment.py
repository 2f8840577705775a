"""What App Service puts into the environment of an app's process, put into this one for a while."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

NAMES = ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


@contextmanager
def app_environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Let the SDKs of this process find the local cloud's identities and trust its certificates."""
    before = {name: os.environ.get(name) for name in NAMES}
    os.environ |= {name: settings[name] for name in NAMES}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
