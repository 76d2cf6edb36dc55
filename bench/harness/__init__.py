"""Runs proxies side by side on loopback and measures them."""
