"""Requests that this server makes: how they are configured and made, for scraping and for notifying alike."""
