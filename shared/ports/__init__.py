"""What the handlers need from the outside, as Protocols, and how the outside may fail."""
