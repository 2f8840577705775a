"""The message classes that `azure_functions_runtime` expects from its caller.

Azure's worker hands the runtime a module of protobuf classes. Nothing here crosses a process
boundary, so plain objects with the same names and fields do (protocol: Azure/azure-functions-language-worker-protobuf).
"""

from types import SimpleNamespace
from typing import Any


class TypedData:
    """One value of the worker protocol: exactly one of `string`, `json`, `bytes`, `http`, …

    Args:
        one: the kind and its value, for example ``TypedData(json='{}')``; nothing for an absent value.
    """

    __slots__ = ("content", "kind")

    def __init__(self, **one: Any) -> None:
        self.kind: str | None = next(iter(one), None)
        self.content: Any = next(iter(one.values()), None)

    def WhichOneof(self, _group: str) -> str | None:  # noqa: N802 - the protobuf name
        return self.kind

    def __getattr__(self, name: str) -> Any:
        if name == self.kind:
            return self.content
        raise AttributeError(name)


class ParameterBinding:
    """A named value going into or coming out of a function."""

    __slots__ = ("data", "name")

    def __init__(self, *, name: str, data: TypedData) -> None:
        self.name = name
        self.data = data

    def WhichOneof(self, _group: str) -> str:  # noqa: N802 - the protobuf name
        return "data"


class Message(SimpleNamespace):
    """Any message that is only a bag of fields."""


class BindingInfo(Message):
    out = 1
    inout = 2
    undefined = 0


class StatusResult(Message):
    Failure = 0
    Success = 1


class RpcHttpCookie(Message):
    SameSite = SimpleNamespace(**{"None": "", "Lax": "Lax", "Strict": "Strict", "ExplicitNone": "None"})


PROTOS = SimpleNamespace(
    BindingInfo=BindingInfo,
    InvocationResponse=Message,
    NullableBool=Message,
    NullableDouble=Message,
    NullableString=Message,
    NullableTimestamp=Message,
    ParameterBinding=ParameterBinding,
    RpcException=Message,
    RpcFunctionMetadata=Message,
    RpcHttp=Message,
    RpcHttpCookie=RpcHttpCookie,
    RpcRetryOptions=Message,
    StatusResult=StatusResult,
    TypedData=TypedData,
)


def strings(values: list[str]) -> TypedData:
    return TypedData(collection_string=SimpleNamespace(string=values))


def byte_strings(values: list[bytes]) -> TypedData:
    return TypedData(collection_bytes=SimpleNamespace(bytes=values))
