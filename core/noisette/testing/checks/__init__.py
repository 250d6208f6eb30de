"""The checks, with one or more modules per kind of plugin; `noisette.testing.run.CHECK_MODULES` lists them."""
