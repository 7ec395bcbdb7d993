"""Who may do what: tokens, sessions of the page, and the door in front of every path."""
