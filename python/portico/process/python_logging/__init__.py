"""Portico's records through Python's logging, where `logconfig` says so; imported by nobody else.

Workers have the handlers themselves (`in_worker.py`). All other processes of portico have them in one process
(`log_process.py`), since the supervisor imports nothing of the application's, and waits for nobody.
"""
