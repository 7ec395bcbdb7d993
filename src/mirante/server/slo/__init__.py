"""Service level objectives: read, turned into rules and dashboards, and told of."""
