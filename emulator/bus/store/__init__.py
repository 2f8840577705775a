"""What the bus remembers: queues, locks, sessions, schedules. Knows nothing of AMQP connections."""
