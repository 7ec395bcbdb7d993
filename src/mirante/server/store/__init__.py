"""Keeps telemetry: a segment log, the engine behind it, its schema, and the reading of what is there."""
