"""AMQP connections: what goes over a socket, and which queue it concerns."""
