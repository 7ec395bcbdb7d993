"""For tests of applications and of mirante itself; no run-time module imports it."""
