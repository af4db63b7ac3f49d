import json
import signal
import subprocess
import sys
import threading

import pytest

import fcc
from conftest import make_config


def final_weights(result: fcc.TrainResult) -> bytes:
    return (result.model / "model.safetensors").read_bytes()


def test_a_run_from_a_dict_tells_its_metrics_as_it_goes(tmp_path):
    steps, validations = [], []
    result = fcc.train(
        make_config(tmp_path), on_step=steps.append, on_validation=validations.append)
    assert result.finished
    assert result.output == tmp_path / "run"
    assert result.last == steps[-1]
    metrics = fcc.read_metrics(result.output)
    assert steps == metrics.steps
    assert validations == metrics.validations
    assert "step 6/6" in (result.output / "log.txt").read_text()


def test_a_run_from_a_file_takes_overrides(tmp_path):
    config = make_config(tmp_path)
    file = tmp_path / "run.json"
    file.write_text(json.dumps(config, default=str))
    result = fcc.train(file, overrides=["train.stages.0.steps=2"])
    assert result.finished and result.last["step"] == 2


def test_wrong_configurations_are_refused_by_name(tmp_path):
    config = make_config(tmp_path)
    config["train"]["batchsize"] = 3
    with pytest.raises(fcc.ConfigError, match="batch_size"):
        fcc.train(config)
    with pytest.raises(fcc.ConfigError):
        fcc.train_steps(config)  # before the loop
    with pytest.raises(fcc.IoError, match="absent.json"):
        fcc.train(tmp_path / "absent.json")
    with pytest.raises(TypeError):
        fcc.train({"output": object()})
    assert not (tmp_path / "run").exists()


def test_a_callback_that_returns_false_ends_the_run_and_resuming_changes_nothing(tmp_path, trained):
    config = make_config(tmp_path)
    stopped = fcc.train(config, on_step=lambda metrics: metrics["step"] < 4)
    assert not stopped.finished and stopped.last["step"] == 4
    assert not stopped.model.exists()
    resumed = fcc.train(config, resume="auto")
    assert resumed.finished
    assert final_weights(resumed) == final_weights(trained)


def test_an_exception_of_a_callback_comes_up_behind_a_checkpoint(tmp_path):
    def fail(metrics):
        raise ZeroDivisionError("mine")

    config = make_config(tmp_path)
    with pytest.raises(ZeroDivisionError, match="mine"):
        fcc.train(config, on_step=fail)
    assert (tmp_path / "run/checkpoints/step-00000001").is_dir()
    assert fcc.train(config, resume="auto").finished


def test_a_loop_gives_the_same_run(tmp_path, trained):
    config = make_config(tmp_path)
    lines = list(fcc.train_steps(config))
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6]
    assert [line["step"] for line in lines if "validation" in line] == [3, 6]
    assert (tmp_path / "run/final/model.safetensors").read_bytes() == final_weights(trained)


def test_a_loop_that_is_left_saves_a_checkpoint(tmp_path, trained):
    config = make_config(tmp_path)
    loop = fcc.train_steps(config, overrides=["train.stages.0.steps=10000"])
    for metrics in loop:
        if metrics["step"] == 2:
            break
    loop.close()
    kept = sorted((tmp_path / "run/checkpoints").iterdir())
    assert kept and not (tmp_path / "run/final").exists()


def test_an_error_of_a_run_comes_up_in_its_loop(tmp_path, trained):
    config = make_config(tmp_path)
    (tmp_path / "train.safetensors").write_bytes(b"no tokens")
    with pytest.raises(fcc.FormatError, match="train.safetensors"):
        list(fcc.train_steps(config))
    with pytest.raises(fcc.Error, match="checkpoint"):  # a finished run is not begun again
        fcc.train(make_config(trained.output.parent))


def test_a_process_trains_one_model_at_a_time(tmp_path):
    config = make_config(tmp_path)

    def train_another(metrics):
        with pytest.raises(fcc.Error, match="one model at a time"):
            fcc.train({**config, "output": tmp_path / "other"})
        return False

    fcc.train(config, on_step=train_another)


def test_other_threads_run_meanwhile(tmp_path):
    counts = []
    is_over = threading.Event()
    count = 0

    def work():
        nonlocal count
        while not is_over.wait(0.001):
            count += 1

    thread = threading.Thread(target=work)
    thread.start()
    fcc.train(
        make_config(tmp_path),
        overrides=["train.stages.0.steps=40"],
        on_step=lambda metrics: counts.append(count),
    )
    is_over.set()
    thread.join()
    assert counts[-1] > counts[0]


@pytest.mark.parametrize("way", ["callback", "loop"])
def test_ctrl_c_saves_a_checkpoint_and_comes_up(tmp_path, way):
    config = make_config(tmp_path)
    config["train"]["stages"][0]["steps"] = 1_000_000
    program = {
        "callback": "fcc.train(config, on_step=lambda m: print(m['step'], flush=True))",
        "loop": "[print(m['step'], flush=True) for m in fcc.train_steps(config)]",
    }[way]
    code = f"import fcc, json, sys; config = json.loads(sys.argv[1]); {program}"
    with subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(config, default=str)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:
        while child.stdout.readline().strip() != "5":
            assert child.poll() is None, child.stderr.read()
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate()
    assert "KeyboardInterrupt" in errors
    assert child.returncode != 0
    newest = sorted((tmp_path / "run/checkpoints").iterdir())[-1]
    assert int(newest.name.split("-")[1]) >= 5
    resumed = fcc.train(config, resume="auto", on_step=lambda metrics: False)
    assert resumed.last["step"] == int(newest.name.split("-")[1]) + 1


def test_a_new_course_takes_changed_keys(tmp_path):
    config = make_config(tmp_path)
    fcc.train(config, on_step=lambda metrics: metrics["step"] < 3)
    with pytest.raises(fcc.ConfigError, match="optim.lr"):
        fcc.train(config, overrides=["optim.lr=0.005"], resume="auto")
    assert fcc.train(
        config, overrides=["optim.lr=0.005"], resume="auto", new_course=True).finished


def test_the_log_goes_to_standard_error_on_request(tmp_path, capfd):
    config = make_config(tmp_path)
    fcc.train(config)
    assert "step" not in capfd.readouterr().err
    fcc.train({**config, "output": tmp_path / "again"}, verbose=True)
    assert "step 6/6" in capfd.readouterr().err
    assert (tmp_path / "run/log.txt").read_text().count("step 6/6") == 1
