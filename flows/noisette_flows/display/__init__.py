"""Output for the terminal: progress, tables, numbers."""
