"""What Django's `manage.py` has of portico: `commands`, and `development`, which their workers import."""
