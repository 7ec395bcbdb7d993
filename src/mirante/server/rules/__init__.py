"""Evaluates Prometheus rules: records series, raises alerts."""
