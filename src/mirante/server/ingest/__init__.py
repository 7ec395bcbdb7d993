"""Takes telemetry in: remote write and OTLP, checked at the door and appended to the store's log."""
