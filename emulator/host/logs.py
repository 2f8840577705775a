"""Log lines on standard output that say which function and which invocation they belong to."""

import contextvars
import logging
import sys

from azure_functions_runtime.utils.executor import invocation_id_cv

function_name_cv: contextvars.ContextVar[str] = contextvars.ContextVar("function_name", default="")
_NOISY = ("azure", "uamqp", "aiohttp.access", "urllib3", "azure.functions")
_FORMAT = "%(asctime)s %(levelname)-7s %(name)s%(where)s %(message)s"


class _Where(logging.Filter):
    """Adds the running function's name and the start of its invocation id to each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        invocation = invocation_id_cv.get() or ""
        name = function_name_cv.get()
        record.where = f" [{name} {invocation[:8]}]" if invocation else ""
        return True


def log_to_stdout() -> None:
    """Send every logger to standard output, libraries only from warnings up."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(_FORMAT))
    handler.addFilter(_Where())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("azure.servicebus._pyamqp").setLevel(logging.ERROR)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
