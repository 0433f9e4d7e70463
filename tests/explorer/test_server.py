"""The served page: who is answered, and what."""

import asyncio
import builtins
import socket

import numpy as np
import pandas as pd
import pytest

from latently import AnomalyDetector, Autoencoder, explore
from latently.exceptions import DataError, MissingExtraError
from latently.explorer._server import import_fastapi, listening, make_app, new_token

from .pages import QUICK, clusters

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

TOKEN = {"x-token": "secret"}


class Client:
    """Requests to an application, without a socket."""

    def __init__(self, app):
        self.app = app

    def ask(self, method, path, **options):
        async def answer():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost:8000"
            ) as client:
                return await client.request(method, path, **options)

        return asyncio.run(answer())

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def post(self, path, **options):
        return self.ask("POST", path, **options)


def client(model, rows):
    return Client(make_app(explore(model, rows), "secret"))


@pytest.fixture(scope="module")
def detector():
    rows = frame()
    return AnomalyDetector(random_state=0).fit(rows)


def frame():
    rows, kinds = clusters()
    columns = dict(zip("abcd", rows.T, strict=True))
    return pd.DataFrame({**columns, "kind": np.array(["x", "y", "z"])[kinds]})


@pytest.fixture(scope="module")
def served(detector):
    return client(detector, frame())


@pytest.mark.parametrize("query", ["", "?token=", "?token=other", "?token=é"])
def test_a_page_without_the_token_is_refused(served, query):
    assert served.get(f"/{query}").status_code == 403


def test_the_page_asks_its_own_server_only(served):
    answer = served.get("/?token=secret")
    assert answer.status_code == 200 and "connect-src 'self'" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "DENY"


def test_a_name_that_another_site_gave_this_machine_is_refused(served):
    answer = served.get("/?token=secret", headers={"host": "evil.example:8000"})
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/score", "/decode"])
def test_answers_need_the_token(served, path):
    assert served.post(path, json={"row": 0}).status_code == 403
    assert served.get(path, headers=TOKEN).status_code == 405


def test_a_row_without_changes_keeps_its_score(served, detector):
    rows = frame()
    found = served.post("/score", json={"row": 5, "changes": {}}, headers=TOKEN).json()
    assert found["score"] == pytest.approx(detector.anomaly_score(rows)[5], rel=1e-9)


def test_a_changed_row_is_scored_as_the_model_does(served, detector):
    rows = frame()
    changed = rows.iloc[[5]].assign(a=40.0, kind="z", b=np.nan)
    body = {"row": 5, "changes": {"a": "40", "kind": "z", "b": ""}}
    found = served.post("/score", json=body, headers=TOKEN).json()
    assert found["score"] == pytest.approx(detector.anomaly_score(changed)[0], rel=1e-9)
    assert found["reasons"] and found["repaired"] < found["score"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"row": 999}, "row must be from 0 to 119"),
        ({"row": "0"}, "row must be"),
        ({"row": 0, "changes": {"a": "many"}}, "must be of type double, got 'many'"),
        ({"row": 0, "changes": {"zz": "1"}}, "must name columns of the model"),
        ([], ""),
    ],
)
def test_wrong_requests_are_refused_with_a_reason(served, body, words):
    answer = served.post("/score", json=body, headers=TOKEN)
    assert answer.status_code == 422 and words in answer.json()["error"]


def test_large_requests_are_refused(served):
    assert served.post("/score", content=b" " * 1_000_001, headers=TOKEN).status_code == 413


def test_a_code_is_decoded_as_the_model_does():
    rows, _ = clusters()
    model = Autoencoder(2, max_epochs=2, **QUICK).fit(rows)
    answers = client(model, rows)
    encoded = answers.post("/decode", json={"code": [0.5, -1]}, headers=TOKEN).json()
    expected = model.inverse_transform([[0.5, -1]], support="free")
    preprocessor = model.preprocessor_
    found = np.array(encoded) * preprocessor.scale + preprocessor.center
    np.testing.assert_allclose(found, expected[0])
    for code in ([1], [1, 2, 3], ["a", "b"], None):
        answer = answers.post("/decode", json={"code": code}, headers=TOKEN)
        assert answer.status_code == 422
    array = {"row": 0, "changes": {"x0": "7"}}
    score = answers.post("/score", json=array, headers=TOKEN).json()["score"]
    changed = np.array([[7.0, *rows[0, 1:]]])
    assert score == pytest.approx(model.reconstruction_error(changed)[0])


def test_only_this_machine_is_listened_to():
    with listening(0) as server:
        assert server.getsockname()[0] == "127.0.0.1"
        with pytest.raises(DataError, match="cannot be opened"):
            listening(server.getsockname()[1])
    assert isinstance(server, socket.socket)


def test_tokens_are_long_and_never_the_same():
    assert len({new_token() for _ in range(50)}) == 50 and len(new_token()) >= 20


def test_a_missing_package_names_its_install_command(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "uvicorn":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"latently\[serve\]"):
        import_fastapi()
