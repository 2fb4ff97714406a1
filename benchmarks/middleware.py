"""Tells the benchmark how many queries an answer took, and how long it kept the processor."""

import time
from collections.abc import Callable
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse

QUERIES = "X-Queries"
CPU = "X-CPU-Seconds"


def count_queries(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        queries: list[str] = []

        def count(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
            queries.append(sql)
            return execute(sql, *arguments)

        start = time.thread_time()
        with connection.execute_wrapper(count):
            response = get_response(request)
        response.headers[QUERIES] = str(len(queries))
        response.headers[CPU] = f"{time.thread_time() - start:.6f}"
        return response

    return middleware
