"""Found by Django where `"portico"` is in INSTALLED_APPS."""
