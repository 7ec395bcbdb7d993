"""The process behind ``mirante serve``: takes telemetry in, stores it, answers queries and shows them."""
