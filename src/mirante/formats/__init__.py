"""Codecs: bytes and text on one side, plain values on the other."""
