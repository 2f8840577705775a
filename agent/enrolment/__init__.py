"""Enrolling with a Device Provisioning Service (docs/adr/0025)."""
