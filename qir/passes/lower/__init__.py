"""From quantized modules to a target's records."""
