"""Finds the functions of an app the way Azure's Python worker does: by running its indexing code."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from azure_functions_runtime import handle_event
from azure_functions_runtime.bindings import meta
from azure_functions_runtime.utils import threadpool

from emulator.host.functions import Function, read_function
from emulator.host.rpc import PROTOS


class AppIndexError(RuntimeError):
    """The app cannot be indexed; as in Azure, none of its functions run then."""


def index_app(app_dir: Path, settings: Mapping[str, str]) -> list[Function]:
    """Import `function_app.py` and read its functions.

    The settings become the process's environment, the folder its working directory, as in Azure.

    Args:
        app_dir: folder that holds function_app.py.
        settings: app settings.

    Returns:
        Every function, disabled ones included.

    Raises:
        AppIndexError: there is no function_app.py, it fails to import, or a binding is refused.
    """
    os.environ.update(settings)
    os.chdir(app_dir)
    sys.path.insert(0, str(app_dir))
    handle_event.protos = PROTOS
    threadpool.start_threadpool_executor()
    try:
        meta.load_binding_registry()
        handle_event.load_function_metadata(str(app_dir), "host")
        return [_read(metadata, settings) for metadata in _indexed(app_dir)]
    except Exception as error:
        raise AppIndexError(f"{app_dir.name}: {error}") from error


def _indexed(app_dir: Path) -> list[Any]:
    metadata: list[Any] | None = handle_event._metadata_result
    if not metadata:
        raise FileNotFoundError(f"no functions found in {app_dir / 'function_app.py'}")
    return metadata


def _read(metadata: Any, settings: Mapping[str, str]) -> Function:
    return read_function(metadata, settings, [json.loads(binding) for binding in metadata.raw_bindings])
