"""The options of gunicorn, uWSGI, waitress and mod_wsgi, for those who have them in their fingers.

`reading` understands a command line that has some. `gunicorn`, `uwsgi`, `waitress` and `mod_wsgi` are the one
table of them, of which a row is a `word`; docs/moving.md is generated from it. Runs in the process of the
command line only.
"""
