"""Tells people of alerts: routes, groups, silences, acknowledgements, escalation, delivery."""
