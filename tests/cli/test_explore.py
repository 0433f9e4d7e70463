"""``latently explore``."""

import json
import re
import webbrowser

import pytest

from latently import AnomalyDetector
from latently.datasets import make_transactions
from latently.explorer import _server
from latently.io import write

from .data import done, run


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explore")
    rows = make_transactions(200, random_state=0).data
    AnomalyDetector(random_state=0).fit(rows).save(folder / "fraud.safetensors")
    keys = [f"T{i}" for i in range(len(rows))]
    write(rows.append_column("key", [keys]), folder / "rows.parquet")
    return folder


def header_of(page):
    return json.loads(re.search(r'id="header">(.*?)</script>', page.read_text())[1])


def test_it_writes_one_page(desk, tmp_path):
    words = ["explore", desk / "fraud.safetensors", desk / "rows.parquet", "--id", "key"]
    answer = done(*words, "--color", "country", "-o", tmp_path / "map.html")
    header = header_of(tmp_path / "map.html")
    assert "AnomalyDetector explorer of 200 rows" in answer.err and answer.out == b""
    roles = {column["role"]: column["name"] for column in header["columns"]}
    assert (roles["id"], roles["label"]) == ("key", "country") and header["server"] is None
    assert run(*words, "-o", tmp_path / "map.html").code == 2


def test_a_file_is_not_served(desk, tmp_path):
    words = ["explore", desk / "fraud.safetensors", desk / "rows.parquet", "--port", "0"]
    answer = run(*words, "-o", tmp_path / "map.html")
    assert answer.code == 2 and "--port must be left out" in answer.err


def test_it_serves_the_map_on_this_machine(desk, monkeypatch):
    served, opened = [], []
    monkeypatch.setattr(_server, "serve", lambda *parts: served.append(parts))
    monkeypatch.setattr(webbrowser, "open", opened.append)
    answer = done("explore", desk / "fraud.safetensors", desk / "rows.parquet")
    url = re.search(r"http://127.0.0.1:\d+/\?token=\S+", answer.err)[0]
    ((made, server, token),) = served
    server.close()
    assert opened == [url] and url.endswith(token) and made.header["n"] == 200


def test_no_browser_is_opened_if_it_is_not_wanted(desk, monkeypatch):
    monkeypatch.setattr(_server, "serve", lambda made, server, token: server.close())
    monkeypatch.setattr(webbrowser, "open", lambda url: pytest.fail("opened"))
    done("explore", desk / "fraud.safetensors", desk / "rows.parquet", "--no-open")
