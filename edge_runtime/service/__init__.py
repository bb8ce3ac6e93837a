"""Listening as a service of systemd: its unit, putting it in place, and keeping the service manager informed."""
