"""A part of the log as a file that is sent while it is read."""

from collections.abc import Iterable

from django.http import StreamingHttpResponse
from django.utils import timezone

from audit.export import Fields, Format, in_pieces


def download(
    what: str, chosen: Format, columns: tuple[str, ...], rows: Iterable[Fields]
) -> StreamingHttpResponse:
    file_name = chosen.file_name(what, timezone.now().date())
    return StreamingHttpResponse(
        in_pieces(chosen.write(columns, rows)),
        content_type=chosen.content_type,
        headers={"Content-Disposition": f'attachment; filename="{file_name}"'},
    )
