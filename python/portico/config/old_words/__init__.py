"""The options of gunicorn, uWSGI and waitress, for those who have them in their fingers.

`reading` understands a command line that has some. `gunicorn`, `uwsgi` and `waitress` are the one table of
them, of which a row is a `word`; docs/moving.md is generated from it. Runs in the process of the command line
only.
"""
