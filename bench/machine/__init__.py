"""Where numbers are made: device, processor, clock, energy, versions."""
