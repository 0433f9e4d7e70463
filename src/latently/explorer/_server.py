"""The page on a local server, which decodes codes and scores changed rows."""

from __future__ import annotations

import hmac
import secrets
import socket
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from latently._validation import Input
from latently.estimators import fitted_of
from latently.exceptions import DataError, LatentlyError, MissingExtraError
from latently.explorer._page import Explorer
from latently.report._contents import rows_at
from latently.schema import arrow_table
from latently.tasks import Explanation, anomaly_scores, autoencoder_of

if TYPE_CHECKING:
    from fastapi import FastAPI

HOST = "127.0.0.1"
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
#: Reasons of a changed row, and the largest body of a request in bytes.
_N_REASONS, _MAX_BODY = 3, 1_000_000


def import_fastapi() -> Any:
    """Import FastAPI and its server.

    Returns
    -------
    module
        ``fastapi``.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import fastapi
        import uvicorn  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            "Serving a map needs fastapi and uvicorn, which are not installed. Run pip install "
            "'latently[serve]', or write a file with --output."
        ) from None
    return fastapi


class Answers:
    """Answers to the page: decoded codes, and scores of rows with changed cells.

    Parameters
    ----------
    model : autoencoder or task
        Fitted.
    rows : array-like, DataFrame, Table or image stack
        Rows of the page.
    """

    def __init__(self, model: Any, rows: Any) -> None:
        self.model = model
        self.coder = autoencoder_of(model)
        self.rows: Input = fitted_of(self.coder).validate(rows)

    def decode(self, body: dict[str, Any]) -> list[float]:
        """Return the expected encoded row of ``code``."""
        code = np.asarray(body.get("code"), dtype=np.float64)
        if code.shape != (self.coder.n_components_,) or not np.isfinite(code).all():
            raise DataError(f"code must be {self.coder.n_components_} finite numbers.")
        decoded: list[float] = fitted_of(self.coder).decode(code[None])[0].tolist()
        return decoded

    def score(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return score and reasons of row ``row`` with the cells ``changes``."""
        row = body.get("row")
        if not isinstance(row, int) or not 0 <= row < len(self.rows):
            raise DataError(f"row must be from 0 to {len(self.rows) - 1:,}, got {row!r}.")
        changed = self._changed(row, dict(body.get("changes") or {}))
        score = float(anomaly_scores(self.model, changed)[0])
        if not hasattr(self.model, "explain"):
            return {"score": score, "reasons": []}
        found = self.model.explain(changed, n_reasons=_N_REASONS)
        if not isinstance(found, Explanation):
            return {"score": score, "reasons": []}
        reasons = [str(reason) for reason in found[0].reasons]
        return {"score": score, "reasons": reasons, "repaired": float(found.repaired_scores[0])}

    def _changed(self, row: int, changes: dict[str, Any]) -> Any:
        """Return a row in which some cells are read from text. Empty text is a missing cell."""
        one = rows_at(self.rows, np.array([row]))
        names = [str(name) for name in self.coder.preprocessor_.column_names]
        unknown = sorted(set(changes) - set(names))
        if unknown:
            raise DataError(f"changes must name columns of the model, got {unknown[0]!r}.")
        if isinstance(one, np.ndarray):
            numbers = one.astype(np.float64)
            for name, text in changes.items():
                numbers[0, names.index(name)] = _as_number(name, text)
            return numbers
        frame = fitted_of(self.coder).validate(one)
        assert not isinstance(frame, np.ndarray)
        table = arrow_table(frame)
        for name, text in changes.items():
            place = table.column_names.index(name)
            table = table.set_column(
                place, name, _as_cell(name, text, table.schema.field(name).type)
            )
        return table


def _as_number(name: str, text: Any) -> float:
    try:
        return float(text) if str(text).strip() else float("nan")
    except ValueError:
        raise DataError(f"Column {name!r} must be a number, got {str(text)[:60]!r}.") from None


def _as_cell(name: str, text: Any, kind: pa.DataType) -> pa.Array:
    if not str(text).strip():
        return pa.nulls(1, kind)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    try:
        return pa.array([str(text)]).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError(
            f"Column {name!r} must be of type {kind}, got {str(text)[:60]!r}."
        ) from None


def make_app(explorer: Explorer, token: str) -> FastAPI:
    """Return the application: the page, and the answers to it.

    Every request needs the token, and a host name of this machine, so that no page of another
    site can read an answer.

    Parameters
    ----------
    explorer : Explorer
        The page.
    token : str
        Secret of the session.

    Returns
    -------
    FastAPI
        The application.
    """
    fastapi = import_fastapi()
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse

    app: FastAPI = fastapi.FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    answers = Answers(explorer.model, explorer.rows)
    page = explorer.page({"token": token})

    def guarded(given: str, host: str) -> str | None:
        if host.rsplit(":", 1)[0] not in (HOST, "localhost"):
            return "Only this machine is served."
        return (
            None if hmac.compare_digest(given.encode(), token.encode()) else "The token is wrong."
        )

    def home(request: Any) -> Any:
        refusal = guarded(request.query_params.get("token", ""), request.headers.get("host", ""))
        if refusal is not None:
            return PlainTextResponse(refusal, 403, _HEADERS)
        return HTMLResponse(page, 200, _HEADERS)

    async def answer(request: Any) -> Any:
        refusal = guarded(request.headers.get("x-token", ""), request.headers.get("host", ""))
        if refusal is not None:
            return PlainTextResponse(refusal, 403, _HEADERS)
        if int(request.headers.get("content-length", _MAX_BODY + 1)) > _MAX_BODY:
            return JSONResponse({"error": "The request is too large."}, 413, _HEADERS)
        try:
            body = await request.json()
            found = await run_in_threadpool(_ANSWERS[request.url.path], answers, body)
        except (LatentlyError, ValueError, TypeError, AttributeError) as error:
            return JSONResponse({"error": str(error)}, 422, _HEADERS)
        return JSONResponse(found, 200, _HEADERS)

    app.add_route("/", home, methods=["GET"])
    for path in _ANSWERS:
        app.add_route(path, answer, methods=["POST"])
    return app


_ANSWERS = {"/decode": Answers.decode, "/score": Answers.score}


def new_token() -> str:
    """Return a random secret of 128 bits."""
    return secrets.token_urlsafe(16)


def listening(port: int) -> socket.socket:
    """Return a socket of this machine only. Port 0 is any free one.

    Raises
    ------
    DataError
        If the port is in use or not allowed.
    """
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        server.bind((HOST, port))
    except OSError as error:
        server.close()
        raise DataError(
            f"Port {port} cannot be opened ({(error.strerror or '').lower()}). Choose another one, "
            "or 0 for any."
        ) from None
    return server


def serve(explorer: Explorer, server: socket.socket, token: str) -> None:
    """Serve the page until the process is interrupted.

    Parameters
    ----------
    explorer : Explorer
        The page.
    server : socket
        Where to listen.
    token : str
        Secret of the session.
    """
    app = make_app(explorer, token)
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    uvicorn.Server(config).run(sockets=[server])
