"""The history of what was heard: a SQLite file of predictions and events, and never any audio."""
