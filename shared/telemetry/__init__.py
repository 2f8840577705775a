"""What the service tells about itself: spans, ids on every log record, and signals that alerts count.

OpenTelemetry's API does nothing until ``shared.wiring.telemetry`` gives it somewhere to send to.
"""
