"""The device side: takes the offer in the device's twin, verifies, downloads, installs, restarts and reports."""

AGENT_VERSION = "groundswell-agent/0.1.0"
