"""The discoveries that find targets outside the configuration."""
