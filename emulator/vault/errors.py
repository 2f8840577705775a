"""What a vault answers when it refuses (Key Vault REST API, "authentication, requests and responses")."""

from typing import Any


class VaultError(Exception):
    """A refusal.

    Attributes:
        status: of the HTTP answer.
        code: the vault's word for it.
        inner: a second word that tells cases apart; empty where there is none.
        retry_after_s: seconds for `Retry-After`; None where there is no such header.
    """

    def __init__(
        self, status: int, code: str, message: str, *, inner: str = "", retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.inner = inner
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.inner:
            error["innererror"] = {"code": self.inner}
        return {"error": error}


def not_found(name: str, version: str = "") -> VaultError:
    what = f"{name}/{version}" if version else name
    return VaultError(404, "KeyNotFound", f"A key with (name/id) {what} was not found in this key vault.")


def bad_parameter(message: str) -> VaultError:
    return VaultError(400, "BadParameter", message)


def disabled(name: str) -> VaultError:
    return VaultError(403, "Forbidden", f"Operation is not allowed on the disabled key {name}.", inner="KeyDisabled")


def forbidden(operation: str) -> VaultError:
    message = f"Caller is not authorized to perform action on resource: keys/{operation}."
    return VaultError(403, "Forbidden", message, inner="ForbiddenByRbac")


def throttled(retry_after_s: int) -> VaultError:
    return VaultError(429, "Throttled", "Request was not processed: too many requests.", retry_after_s=retry_after_s)
