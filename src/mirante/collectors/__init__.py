"""Sources of metrics that are read when asked: the host, the process, the interpreter."""
