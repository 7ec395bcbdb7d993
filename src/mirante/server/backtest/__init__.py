"""What would rules and routes have done: replayed over the stored history by the code that evaluates and tells."""
