"""HTTP: every path that the server answers, one file a protocol."""
