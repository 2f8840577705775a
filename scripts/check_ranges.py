"""Whether Azure's firewalls take the address ranges that a deployment is given: ``python3 -m scripts.check_ranges``.

Run by azd before it provisions: a range that one resource refuses would stop the deployment after ten minutes, with
half of the resources made and an error that names a property of the template. Standard library only, because nothing
is installed yet. The rules and where they are documented: docs/private-networking.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Firewall:
    """What a resource's firewall takes.

    Attributes:
        settings: Whose ranges come to it.
        longest_prefix: The smallest range; a single address is none, and always taken.
        max_rules: How many ranges and addresses in all.
    """

    name: str
    settings: tuple[str, ...]
    longest_prefix: int
    max_rules: int


FIREWALLS = (
    Firewall(name="storage account", settings=("OPERATOR_RANGES", "DEVICE_RANGES"), longest_prefix=30, max_rules=200),
    Firewall(name="key vault", settings=("OPERATOR_RANGES",), longest_prefix=32, max_rules=1000),
    Firewall(name="control app", settings=("OPERATOR_RANGES",), longest_prefix=32, max_rules=512),
    Firewall(name="field app", settings=("DEVICE_RANGES",), longest_prefix=32, max_rules=511),
    Firewall(name="IoT hub", settings=("HUB_RANGES",), longest_prefix=32, max_rules=100),
)
"""The field app's last rule lets Event Grid in."""

SETTINGS = ("OPERATOR_RANGES", "DEVICE_RANGES", "HUB_RANGES")

_NOT_OF_THE_INTERNET = {
    "10.0.0.0/8": "private (RFC 1918)",
    "172.16.0.0/12": "private (RFC 1918)",
    "192.168.0.0/16": "private (RFC 1918)",
    "100.64.0.0/10": "shared by a provider's customers (RFC 6598)",
    "127.0.0.0/8": "the machine itself",
    "169.254.0.0/16": "link-local",
    "0.0.0.0/8": "no address of a caller",
    "224.0.0.0/3": "no address of a caller",
}


def complaints(given: Mapping[str, str]) -> list[str]:
    """What is wrong with the ranges, one sentence each; empty when a deployment may begin.

    Args:
        given: Setting to ranges with commas between; what is missing or empty is open to everybody.
    """
    ranges = {setting: _entries(given.get(setting, "")) for setting in SETTINGS}
    wrong = [
        f"{setting}: {text}: {why}"
        for setting, texts in ranges.items()
        for text in texts
        if (why := _complaint(setting, text))
    ]
    return [*wrong, *_repeated(ranges), *_too_many(ranges)]


def _entries(text: str) -> list[str]:
    # As the template reads them: single addresses without their mask, blanks and empty entries left out.
    return [entry.strip().removesuffix("/32") for entry in text.split(",") if entry.strip()]


def _complaint(setting: str, text: str) -> str:
    if ":" in text:
        return "only IPv4 is taken"
    try:
        network = IPv4Network(text, strict=False)
    except ValueError:
        return "must be an IPv4 address or a range as in 203.0.113.0/24"
    if str(network) != text and str(network.network_address) != text:
        return f"must be written {network}" if network.prefixlen < 32 else f"must be written {network.network_address}"
    if network.prefixlen == 0:
        return "that is everybody; leave the setting empty"
    for block, what in _NOT_OF_THE_INTERNET.items():
        if network.overlaps(IPv4Network(block)):
            return f"{what}: {block}; firewalls see the public address that calls come from, and take no other"
    return _too_small(setting, network)


def _too_small(setting: str, network: IPv4Network) -> str:
    if network.prefixlen == 32:
        return ""
    for firewall in FIREWALLS:
        if setting in firewall.settings and network.prefixlen > firewall.longest_prefix:
            return f"too small a range for a {firewall.name}; write {','.join(map(str, network))}"
    return ""


def _repeated(ranges: Mapping[str, list[str]]) -> Iterator[str]:
    for setting, texts in ranges.items():
        for text in dict.fromkeys(text for text in texts if texts.count(text) > 1):
            yield f"{setting}: {text}: stands there twice"


def _too_many(ranges: Mapping[str, list[str]]) -> Iterator[str]:
    for firewall in FIREWALLS:
        rules = {text for setting in firewall.settings for text in ranges[setting]}
        if len(rules) > firewall.max_rules:
            where = " and ".join(firewall.settings)
            yield f"{where}: a {firewall.name} takes {firewall.max_rules} ranges, and these are {len(rules)}"


def main() -> int:
    """0 when a deployment may begin, 1 after saying why not."""
    wrong = complaints(os.environ)
    for complaint in wrong:
        sys.stderr.write(f"{complaint}\n")
    if wrong:
        sys.stderr.write("nothing was deployed; mend it with `azd env set` (docs/private-networking.md)\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
