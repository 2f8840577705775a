"""The device side: MQTT 3.1.1 over TLS with IoT Hub's topics."""
