"""Frameworks: middlewares and endpoints."""
