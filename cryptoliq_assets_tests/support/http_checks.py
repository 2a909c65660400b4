"""Media types of requests, and checks of error responses."""

import httpx

CSV = {"Content-Type": "text/csv"}
JSON = {"Content-Type": "application/json"}


def check_problem(response: httpx.Response, status: int, *, field: str | None = None, says: str = "") -> dict:
    """Check a problem+json response of this status that names a field."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert set(body) == {"type", "title", "status", "detail", "errors"}
    assert (body["status"], bool(body["title"])) == (status, True)
    assert says in body["detail"]
    assert "Traceback" not in response.text
    assert ".py" not in response.text
    if field is not None:
        assert field in {error["field"] for error in body["errors"]}, body
        assert all(error["message"] for error in body["errors"])
    return body
