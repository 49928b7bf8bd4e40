"""The one app of the Django test project: files that people upload."""
