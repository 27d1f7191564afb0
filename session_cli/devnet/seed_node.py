"""The seed node: the chain daemon's public JSON-RPC, over HTTPS."""

from __future__ import annotations

import ssl
from typing import Any

from aiohttp import web
from multidict import CIMultiDict

from .conduct import Conduct
from .directory import Directory
from .http_server import Answer, BodyTooLarge, Listener, read_body
from .ledger import DaemonError, Ledger
from .replies import parse_json, to_json
from .request_log import RequestLog, RequestRecord
from .service_node import MAX_BODY_BYTES
from .wire import Wire

_LIST_METHODS = ("get_n_service_nodes", "get_service_nodes", "get_all_service_nodes")
_METHODS = (*_LIST_METHODS, "ons_resolve")


class SeedNode:
    """Serves `/json_rpc`, and every method under a path of its own."""

    def __init__(
        self,
        directory: Directory,
        ledger: Ledger,
        log: RequestLog,
        ip: str,
        port: int,
        context: ssl.SSLContext,
        *,
        wire: Wire,
        conduct: Conduct,
    ) -> None:
        self._directory = directory
        self._ledger = ledger
        self._wire = wire
        self._conduct = conduct
        self._log = log
        self.listener = Listener(self._serve, ip, port, context)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._wire.serve(request, self._handle)

    async def _handle(self, request: web.BaseRequest) -> Answer:
        try:
            body = await read_body(request, MAX_BODY_BYTES)
        except BodyTooLarge:
            return Answer(413, CIMultiDict({"Content-Type": "text/plain"}))
        path = request.path.strip("/")
        if path == "json_rpc":
            method, answer = self._json_rpc(bytes(body))
        elif path in _METHODS:
            method, answer = path, self._bare(path, bytes(body))
        else:
            self._log.add(RequestRecord("seed", None, "", 404))
            return Answer(404, CIMultiDict({"Content-Type": "text/plain"}), b"Not found")
        self._log.add(RequestRecord("seed", None, method, 200))
        headers = CIMultiDict({"Content-Type": "application/json"})
        return Answer(200, headers, to_json(answer), calls=(method,))

    def _json_rpc(self, body: bytes) -> tuple[str, dict[str, Any]]:
        """The method as the log may know it, and the answer."""
        try:
            request = parse_json(body)
        except ValueError:
            return "", _envelope(None, error={"code": -32700, "message": "Parse error"})
        values = request if isinstance(request, dict) else {}
        request_id, method = values.get("id"), values.get("method")
        if not isinstance(method, str):
            return "", _envelope(request_id, error={"code": -32600, "message": "Invalid Request"})
        if method not in _METHODS:
            return "", _envelope(request_id, error={"code": -32601, "message": "Method not found"})
        try:
            return method, _envelope(request_id, result=self._call(method, values.get("params")))
        except DaemonError as error:
            details = {"code": -32602, "data": str(error), "message": "Invalid params"}
            return method, _envelope(request_id, error=details)

    def _bare(self, method: str, body: bytes) -> dict[str, Any]:
        try:
            return self._call(method, parse_json(body) if body else {})
        except ValueError:
            return {"status": "Failed", "error": "Parse error"}
        except DaemonError as error:
            return {"status": "Failed", "error": str(error)}

    def _call(self, method: str, params: object) -> dict[str, Any]:
        if method not in _LIST_METHODS:
            return self._ledger.call(method, params, ())
        members = self._directory.members
        listed = self._conduct.listed(method, members) if self._conduct.faulty else members
        return self._ledger.call("get_service_nodes", params, listed)


def _envelope(request_id: object, **content: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, **content}
