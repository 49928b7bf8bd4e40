"""A small real Django project: admin, sessions, static files, a form with a file upload, streaming."""
