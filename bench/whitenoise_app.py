"""The hello of apps.py behind WhiteNoise, which serves the files of the folder that the environment names."""

from __future__ import annotations

import os

from whitenoise import WhiteNoise

from bench.apps import hello

application = WhiteNoise(hello, root=os.environ["BENCH_FILES"], prefix=os.environ["BENCH_FILES_PREFIX"])
