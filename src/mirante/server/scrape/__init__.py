"""Scraping: `prometheus.yml` in, remote-write bodies out."""
