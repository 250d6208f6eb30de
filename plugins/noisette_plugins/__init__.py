"""The built-in plugins: one idea a file, one folder a kind, with no privilege over a stranger's."""
