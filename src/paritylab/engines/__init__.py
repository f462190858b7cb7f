"""Where cells run: one Protocol, three engines."""
