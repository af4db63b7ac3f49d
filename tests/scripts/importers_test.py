"""scripts/to_wandb.py and to_mlflow.py hand over every number, against modules that only note what comes."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
WANDB = """
    import json
    class Run:
        def log(self, values, step):
            print(json.dumps({"step": step, "values": values}))
        def finish(self):
            print("finished")
    def init(**arguments):
        print(json.dumps(arguments))
        return Run()
"""
MLFLOW = """
    import json
    class Info:
        run_id = "r"
    class Run:
        info = Info()
    class MlflowClient:
        def __init__(self, tracking_uri=None):
            print(json.dumps({"uri": tracking_uri}))
        def get_experiment_by_name(self, name):
            return None
        def create_experiment(self, name):
            return "e:" + name
        def create_run(self, experiment_id, start_time, run_name):
            print(json.dumps({"experiment": experiment_id, "start": start_time, "name": run_name}))
            return Run()
        def log_batch(self, run_id, metrics=(), params=()):
            assert len(metrics) <= 1000 and len(params) <= 100
            for part in (*metrics, *params):
                print(json.dumps(vars(part)))
        def set_terminated(self, run_id, end_time):
            print(json.dumps({"end": end_time}))
"""
ENTITIES = """
    class Metric:
        def __init__(self, key, value, timestamp, step):
            self.key, self.value, self.timestamp, self.step = key, value, timestamp, step
    class Param:
        def __init__(self, key, value):
            self.key, self.value = key, value
"""
LINES = [
    {"step": 1, "stage": "a", "loss": 2.5, "lr": 0.1, "time": 1000.5, "seconds": 1.25},
    {"step": 2, "stage": "a", "loss": None, "lr": 0.1, "skipped": True, "time": 1001.0, "seconds": 1.5},
    {"step": 2, "time": 1002.0, "seconds": 2.5,
     "validation": {"held_out": {"mean_loss": 1.5, "segment_losses": [2.0, None, 1.0]}}},
]


class Importers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        root = pathlib.Path(self.folder.name)
        self.run = root / "mine"
        self.run.mkdir()
        (self.run / "config.json").write_text(json.dumps(
            {"optim": {"lr": 0.1}, "train": {"stages": [{"steps": 2}]}, "seeds": [1, 2]}))
        (self.run / "metrics.jsonl").write_text("\n".join(map(json.dumps, LINES)) + '\n{"step": 3, "lo')
        self.modules = root / "modules"
        (self.modules / "mlflow").mkdir(parents=True)
        (self.modules / "wandb.py").write_text(textwrap.dedent(WANDB))
        (self.modules / "mlflow/__init__.py").write_text(textwrap.dedent(MLFLOW))
        (self.modules / "mlflow/entities.py").write_text(textwrap.dedent(ENTITIES))

    def tearDown(self):
        self.folder.cleanup()

    def output_of(self, script, *arguments):
        environment = dict(os.environ, PYTHONPATH=str(self.modules), PYTHONDONTWRITEBYTECODE="1")
        done = subprocess.run([sys.executable, str(SCRIPTS / script), str(self.run), *arguments],
                              env=environment, text=True, capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def test_wandb_gets_a_row_for_each_step_with_its_validation(self):
        lines = self.output_of("to_wandb.py", "--offline", "--project", "p")
        self.assertEqual(json.loads(lines[0]), {
            "project": "p", "name": "mine", "mode": "offline",
            "config": {"optim.lr": 0.1, "train.stages.0.steps": 2, "seeds": [1, 2]}})
        self.assertEqual(json.loads(lines[1]), {"step": 1, "values": {
            "loss": 2.5, "lr": 0.1, "seconds": 1.25, "skipped": 0, "_timestamp": 1000.5}})
        self.assertEqual(json.loads(lines[2]), {"step": 2, "values": {
            "lr": 0.1, "seconds": 1.5, "skipped": 1, "_timestamp": 1002.0,
            "validation/held_out/mean_loss": 1.5, "validation/held_out/segment_0000": 2.0,
            "validation/held_out/segment_0002": 1.0}})
        self.assertEqual(lines[3:], ["finished", "mine: 2 steps"])

    def test_mlflow_gets_every_number_with_its_time(self):
        lines = self.output_of("to_mlflow.py", "--tracking-uri", "sqlite:///x.db")
        parsed = [json.loads(line) for line in lines[:-1]]
        self.assertEqual(parsed[0], {"uri": "sqlite:///x.db"})
        self.assertEqual(parsed[1], {"experiment": "e:fcc", "start": 1000500, "name": "mine"})
        self.assertIn({"key": "train.stages.0.steps", "value": "2"}, parsed)
        self.assertIn({"key": "loss", "value": 2.5, "timestamp": 1000500, "step": 1}, parsed)
        self.assertIn({"key": "validation/held_out/mean_loss", "value": 1.5, "timestamp": 1002000, "step": 2}, parsed)
        self.assertEqual(parsed[-1], {"end": 1002000})
        self.assertEqual(lines[-1], "mine: 10 values")

    def test_a_broken_line_is_named(self):
        (self.run / "metrics.jsonl").write_text('{"step": 1}\n{"st\n{"step": 3}\n')
        done = subprocess.run([sys.executable, str(SCRIPTS / "to_wandb.py"), str(self.run)], text=True,
                              capture_output=True, env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("line 2: must be JSON", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
