"""OpenMetrics, as prometheus_client sorts it."""
