"""The functions of function_app.py, as Azure's worker indexes them."""

from __future__ import annotations

from typing import Any

from function_app import app

# The library hands out an app's functions once: a second call finds every name taken.
FUNCTIONS = {function.get_function_name(): function for function in app.get_functions()}


def read_triggers() -> dict[str, dict[str, Any]]:
    """Function name to the fields of its trigger."""
    return {name: function.get_trigger().get_dict_repr() for name, function in FUNCTIONS.items()}
