"""Trace, span, request and user ids, carried along with the work that they belong to."""
