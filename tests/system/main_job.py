"""The main job as `./run` does it. usage: main_job.py [intel]"""
import os
import pathlib
import sys

job = pathlib.Path(__file__).resolve().parents[2] / "lab/main-job"
os.execv(sys.executable, [sys.executable, str(job), *sys.argv[1:]])
