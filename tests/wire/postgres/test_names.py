"""What a name means to the server: a text is told as what runs only where no other can be meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.wire.postgres.errors import Report
from sdm.wire.postgres.frames import Event
from sdm.wire.postgres.messages import message
from sdm.wire.postgres.names import MAX_PORTALS
from sdm.wire.postgres.naming import deallocated, renames_portals, renames_statements
from sdm.wire.postgres.requests import Kind, Request, Text
from tests.wire.postgres.reference import (
    BOUND,
    PARSED,
    READY,
    ROW,
    SYNC,
    Conversation,
    bind,
    complete,
    execute,
    parse,
    query,
)

FAILED = Report("42P05", "it exists", severity="ERROR").to_bytes()
RUN = execute() + SYNC


def close(name: str) -> bytes:
    return message(b"C", b"S" + name.encode() + b"\0")


def prepared(text: str = "DELETE", name: str = "s") -> Conversation:
    conversation = Conversation()
    conversation.client(parse(text, name) + SYNC)
    conversation.server(PARSED + READY)
    return conversation


def executions(events: list[Event]) -> list[Request]:
    return [event for event in events if isinstance(event, Request) and event.kind is Kind.EXECUTE]


def executed(conversation: Conversation, client: bytes) -> tuple[str | None, str]:
    """The text of the last Execute, and what of it is in doubt."""
    *_, last = executions(conversation.client(client))
    return None if last.text is None else last.text.data.decode(), last.doubt.decode()


def test_what_the_server_took_is_certain():
    assert executed(prepared(), bind("s") + RUN) == ("DELETE", "")


@pytest.mark.parametrize("name", ["s", ""])
def test_a_parse_that_failed_leaves_what_was_there(name: str):
    """Also without a name: of a text in a wrong encoding the server hears before it drops the one that was there."""
    conversation = prepared(name=name)
    for _ in range(3):
        conversation.client(parse("SELECT", name) + SYNC)
        conversation.server(FAILED + READY)
        assert executed(conversation, bind(name) + RUN) == ("DELETE", "")
        conversation.server(BOUND + complete("DELETE 1") + READY)


def test_while_nobody_knows_whether_a_parse_failed_the_text_is_in_doubt():
    conversation = prepared()
    assert executed(conversation, parse("SELECT", "s") + SYNC + bind("s") + RUN) == ("SELECT", "statement s")


def test_in_one_segment_what_follows_a_parse_runs_with_it_or_not_at_all():
    conversation = prepared()
    assert executed(conversation, parse("SELECT", "s") + bind("s") + RUN) == ("SELECT", "")
    conversation.server(FAILED + READY)
    assert executed(conversation, bind("s") + RUN) == ("DELETE", "")


def test_a_parse_that_was_skipped_and_a_close_that_was_skipped_count_for_nothing():
    conversation = prepared()
    conversation.client(parse("nonsense") + close("s") + parse("SELECT", "s") + SYNC)
    conversation.server(FAILED + READY)
    assert executed(conversation, bind("s") + RUN) == (None, "statement s")


TOUCHING = [
    "DEALLOCATE s; PREPARE s AS DELETE FROM orders",
    "deallocate all",
    "DISCARD ALL",
    "select 1;\n\n  prepare\n s as select 2",
    "/* DO */ DO $$ begin execute 'deallocate s'; end $$",
    "-- a\rdo 'x'",
    "CALL p()",
    "PREPARE transaction AS SELECT 1",
    "SELECT '" + "x" * 20_000 + "'",
]
HARMLESS = [
    "SELECT prepare, call, discard FROM deallocate",
    "INSERT INTO t VALUES (1) ON CONFLICT\nDO NOTHING",
    "INSERT INTO t VALUES (1) ON CONFLICT\n  do  update SET a = 1",
    "PREPARE TRANSACTION 'x'",
    "\nSELECT 1",
]


@pytest.mark.parametrize("text", TOUCHING)
def test_after_sql_that_may_give_it_away_a_name_is_in_doubt_until_it_is_given_anew(text: str):
    for ask in (query(text), parse(text) + bind() + RUN):
        conversation = prepared("SELECT 1")
        conversation.client(ask)
        assert executed(conversation, bind("s") + RUN) in (
            ("SELECT 1", "statement s"),
            (None, "statement s"),
        )
        assert executed(conversation, close("s") + parse("SELECT 2", "s") + bind("s") + RUN) == (
            "SELECT 2",
            "",
        )


@pytest.mark.parametrize("text", HARMLESS)
def test_other_sql_puts_no_name_in_doubt(text: str):
    conversation = prepared()
    conversation.client(query(text) + parse(text) + bind() + RUN)
    assert executed(conversation, bind("s") + RUN) == ("DELETE", "")


@pytest.mark.parametrize("text", ["DEALLOCATE other", 'deallocate "other" ;'])
def test_one_name_that_is_given_up_puts_no_other_in_doubt(text: str):
    conversation = prepared()
    conversation.client(parse("SELECT", "other") + SYNC + query(text))
    conversation.server(PARSED + READY + complete("DEALLOCATE") + READY)
    assert executed(conversation, bind("s") + RUN) == ("DELETE", "")
    assert executed(conversation, bind("other") + RUN) == (None, "statement other")


def test_who_runs_what_may_be_anything_may_have_given_away_every_name():
    conversation = prepared()
    assert executed(conversation, bind("unknown") + RUN) == (None, "statement unknown")
    assert executed(conversation, bind("s") + RUN) == ("DELETE", "statement s")


def test_names_that_are_read_otherwise_in_another_encoding_are_in_doubt():
    assert executed(prepared(name="\u00e9"), bind("\u00e9") + RUN) == ("DELETE", "statement \u00e9")


def test_a_portal_stands_when_the_server_took_it():
    conversation = prepared()
    conversation.client(bind("s", "p") + SYNC)
    assert executed(conversation, execute("p") + SYNC) == ("DELETE", "portal p")
    conversation = prepared()
    conversation.client(bind("s", "p") + SYNC)
    conversation.server(BOUND + READY)
    assert executed(conversation, execute("p") + SYNC) == ("DELETE", "")


def test_a_portal_whose_bind_failed_is_in_doubt():
    """Within a savepoint that is rolled back: the portal of before is still there."""
    conversation = prepared()
    conversation.client(parse("SELECT", "t") + bind("s", "p") + SYNC)
    conversation.server(PARSED + BOUND + READY)
    conversation.client(bind("t", "p") + SYNC)
    conversation.server(FAILED + READY)
    assert executed(conversation, execute("p") + SYNC) == ("SELECT", "portal p")


def test_a_cursor_of_sql_is_not_taken_for_a_portal_of_before():
    conversation = prepared()
    conversation.client(bind("s", "p") + SYNC)
    conversation.server(BOUND + READY)
    conversation.client(query("CLOSE p; DECLARE p CURSOR FOR SELECT 1"))
    conversation.server(complete("DECLARE CURSOR") + READY)
    assert executed(conversation, execute("p") + SYNC) == ("DELETE", "portal p")


def test_a_portal_that_is_forgotten_is_told_by_its_name():
    conversation = prepared()
    for number in range(MAX_PORTALS + 1):
        conversation.client(bind("s", f"p{number}"))
        conversation.server(BOUND)
    assert executed(conversation, execute("p1")) == ("DELETE", "")
    assert executed(conversation, execute("p0")) == (None, "portal p0")
    assert executed(Conversation(), execute()) == (None, "portal without a name")


def test_among_many_rows_nothing_that_looks_like_a_reply_makes_a_name_certain():
    """A row holds what the server says when it is ready, and that it took what comes behind."""
    conversation = prepared()
    conversation.client(query("SELECT bytes"))
    conversation.server(ROW * 100)
    conversation.client(parse("SELECT", "s") + SYNC)
    conversation.server(message(b"D", b"\0\1\0\0\0\x0c" + READY + PARSED))
    assert executed(conversation, bind("s") + RUN) == ("SELECT", "statement s")


def test_a_failure_of_which_only_the_end_was_seen_restores_nothing():
    conversation = prepared()
    conversation.client(parse("SELECT", "s") + bind("s") + RUN)
    conversation.server(message(b"?") + FAILED + READY)
    assert executed(conversation, bind("s") + RUN) == ("SELECT", "statement s")
    conversation.server(FAILED + READY)
    conversation.client(close("s") + parse("UPDATE", "s") + SYNC)
    conversation.server(message(b"3") + PARSED + READY)
    assert executed(conversation, bind("s") + RUN) == ("UPDATE", "")


def test_parses_without_end_keep_no_more_than_the_last():
    conversation = Conversation()
    for _ in range(1000):
        conversation.client(parse("SELECT", "s") + SYNC)
        conversation.server(FAILED + READY)
    (last,) = [conversation.requests._names.statements._requests[b"s"]]
    assert last.former is None


def test_what_is_only_white_space_and_line_ends_is_read_once():
    for text in (b"\n" * 60_000, b";\n \t" * 15_000, b"DO" + b" " * 60_000):
        found = Text(text, len(text))
        assert renames_statements(found) is text.startswith(b"DO")
        assert not renames_portals(found)
        assert deallocated(found) is None


class Server:
    """PostgreSQL's rules for the names of statements, written from its postgres.c and prepare.c."""

    def __init__(self) -> None:
        self.statements: dict[str, str] = {}
        self.portal: str | None = None
        self.ran: list[str] = []
        """what each Execute ran; "" where none did"""
        self.skips = False

    def run(self, text: str) -> bool:
        match text.split():
            case ["DEALLOCATE", "ALL"]:
                self.statements = {"": self.statements[""]} if "" in self.statements else {}
            case ["DEALLOCATE", name]:
                return self.statements.pop(name, None) is not None
            case ["PREPARE", name, "AS", *words]:
                if name in self.statements:
                    return False
                self.statements[name] = " ".join(words)
            case ["DO", name, *words]:
                self.statements[name] = " ".join(words)
            case ["FAIL"]:
                return False
        return True

    def answer(self, kind: str, name: str, text: str) -> bytes:
        if kind == "S":
            self.skips = False
            return READY
        if kind == "E":
            self.ran.append("")
        if self.skips:
            return b""
        if kind == "Q":
            done = self.run(text)
            return (complete("SELECT 1") if done else FAILED) + READY
        if reply := self._extended(kind, name, text):
            return reply
        self.skips = True
        return FAILED

    def _extended(self, kind: str, name: str, text: str) -> bytes:
        match kind:
            case "P" if text != "NONSENSE" and (not name or name not in self.statements):
                self.statements[name] = text
                return PARSED
            case "B" if name in self.statements:
                self.portal = self.statements[name]
                return BOUND
            case "E" if self.portal is not None:
                self.ran[-1] = self.portal
                return complete("SELECT 1") if self.run(self.portal) else b""
            case "C":
                self.statements.pop(name, None)
                return message(b"3")
        return b""


NAMES = st.sampled_from(["", "a", "b"])
SQL = st.sampled_from(
    [
        *("SELECT 1", "SELECT 2", "FAIL", "NONSENSE"),
        *("DEALLOCATE a", "DEALLOCATE ALL", "PREPARE a AS SELECT 3", "DO b SELECT 4"),
    ]
)
ASKED = st.tuples(st.sampled_from("QPPPBBEECSSS"), NAMES, SQL)
WIRE = {
    "Q": lambda _, text: query(text),
    "P": lambda name, text: parse(text, name),
    "B": lambda name, _: bind(name),
    "E": lambda *_: execute(),
    "C": lambda name, _: close(name),
    "S": lambda *_: SYNC,
}


@given(st.lists(st.tuples(ASKED, st.booleans()), max_size=60))
def test_whatever_is_asked_and_however_late_the_answers_no_other_text_is_told_as_what_ran(
    asked: list[tuple[tuple[str, str, str], bool]],
):
    conversation, server, late = Conversation(), Server(), b""
    told: list[Request] = []
    for (kind, name, text), is_read in asked:
        told += executions(conversation.client(WIRE[kind](name, text)))
        late += server.answer(kind, name, text)
        if is_read:
            conversation.server(late)
            late = b""
    for request, ran in zip(told, server.ran, strict=True):
        certain = request.text is not None and not request.doubt
        assert not (ran and certain) or request.text == Text(ran.encode(), len(ran))
