"""`latently fit --resume`: the same command again goes on, whatever ended it before."""

import os
import signal

import pytest

from latently.training._run import Run

pytestmark = pytest.mark.trust("training")


@pytest.fixture
def command(table, tmp_path):
    """The words of a fit, which leaves a model in a folder of its own."""
    return ["fit", table, "-o", tmp_path / "m.safetensors", "--n-components", 2,
            "--max-epochs", 40, "--quiet"]  # fmt: skip


def content(tmp_path):
    return (tmp_path / "m.safetensors").read_bytes()


def names(tmp_path):
    return sorted(path.name for path in tmp_path.iterdir())


def stop_once(monkeypatch, number):
    """Send a signal in the thirtieth step."""
    rate, left = Run.learning_rate, [30]

    def send_then_go_on(run):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), number)
        return rate(run)

    monkeypatch.setattr(Run, "learning_rate", send_then_go_on)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_what_a_signal_ended_goes_on_to_the_same_file(
    run, command, tmp_path, monkeypatch, number, code
):
    assert run(*command).exit_code == 0
    whole = content(tmp_path)
    (tmp_path / "m.safetensors").unlink()
    stop_once(monkeypatch, number)
    stopped = run(*command, "--resume")
    assert stopped.exit_code == code
    assert "the same command with --resume goes on" in " ".join(stopped.stderr.split()).lower()
    assert names(tmp_path) == ["m.safetensors", "m.safetensors.checkpoint"]
    assert run(*command, "--resume").exit_code == 0
    assert names(tmp_path) == ["m.safetensors"]
    assert content(tmp_path) == whole


def test_a_folder_of_ones_own_is_cleared_when_the_model_is_written(run, command, tmp_path):
    assert run(*command, "--checkpoint", tmp_path / "c").exit_code == 0
    assert names(tmp_path) == ["m.safetensors"]


def test_a_checkpoint_is_gone_on_from_only_when_asked(run, command, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        stop_once(patched, signal.SIGINT)
        run(*command, "--checkpoint", tmp_path / "c")
    refused = run(*command, "--checkpoint", tmp_path / "c", "--overwrite")
    assert (refused.exit_code, "Resume it" in refused.stderr) == (2, True)
    changed = run(*command, "--checkpoint", tmp_path / "c", "--resume", "--learning-rate", 0.1)
    assert (changed.exit_code, "learning_rate was" in changed.stderr) == (2, True)
    assert run(*command, "--checkpoint", tmp_path / "c", "--resume").exit_code == 0


@pytest.mark.parametrize(
    ("option", "value", "code", "words"),
    [
        ("--time-limit", "soon", 2, "--time-limit must be a time such as"),
        ("--time-limit", "0s", 2, "--time-limit must be a time such as"),
        ("--max-memory", "much", 2, "--max-memory must be a size such as"),
        ("--max-memory", "-1GB", 2, "--max-memory must be a size such as"),
        ("--max-memory", "2KB", 5, "2.0 KiB are allowed"),
    ],
)
def test_limits_that_are_none_or_too_low_are_refused(run, command, option, value, code, words):
    refused = run(*command, option, value)
    assert refused.exit_code == code
    assert words in refused.stderr


def test_a_fit_ends_at_its_time_limit_with_a_model(run, table, tmp_path):
    ended = run("fit", table, "-o", tmp_path / "m", "--max-epochs", 100_000, "--time-limit", "1s")
    assert ended.exit_code == 0
    assert "ended at its time limit" in ended.stderr
    assert run("score", tmp_path / "m", table).exit_code in (0, 3) and (tmp_path / "m").exists()
