"""Entra ID as far as an API needs it: discovery, signing keys that change, and access tokens for made-up people."""

from emulator.login.api import LoginApi
from emulator.login.keys import SigningKeys

__all__ = ["LoginApi", "SigningKeys"]
