"""The checks, one module a kind; `noisette.testing.run.HOMES` says which belong to which."""
