"""Backups: consistent copies of the store that tell themselves whether they are whole."""
