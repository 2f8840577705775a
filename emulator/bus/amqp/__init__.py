"""AMQP 1.0 without sockets: values, message sections, performatives and frames."""
