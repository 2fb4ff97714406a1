"""Each field of the contract says what may be shown of it, and what is secret is in no log."""

import ast
from collections.abc import Iterator

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from sdm.contract.v1 import classification_pb2, clients_pb2, records_pb2, workers_pb2
from tests.house.checkout import ROOT

PACKAGE = workers_pb2.DESCRIPTOR.package
SECRET = (classification_pb2.CLASSIFICATION_UNSPECIFIED, classification_pb2.SECRET)


def fields() -> Iterator[FieldDescriptor]:
    for file in (workers_pb2, records_pb2, clients_pb2):
        for message in file.DESCRIPTOR.message_types_by_name.values():
            yield from message.fields


def classification(field: FieldDescriptor) -> int:
    return field.GetOptions().Extensions[classification_pb2.classification]


@pytest.mark.parametrize("field", list(fields()), ids=lambda field: field.full_name)
def test_every_field_is_classified(field: FieldDescriptor):
    assert classification(field) != classification_pb2.CLASSIFICATION_UNSPECIFIED


def test_what_contains_a_secret_is_itself_secret():
    """A message is shown whole or not at all, so a field that holds one is as secret as its most secret part."""
    for field in fields():
        for message in messages_in(field):
            assert classification(field) >= most_secret(message), field.full_name


def messages_in(field: FieldDescriptor) -> list[Descriptor]:
    """What it holds, if that is a message of ours: not a map, nor a time."""
    message = field.message_type
    if message is None or message.GetOptions().map_entry or message.file.package != PACKAGE:
        return []
    return [message]


def most_secret(message: Descriptor) -> int:
    own = [classification(field) for field in message.fields]
    below = [most_secret(held) for field in message.fields for held in messages_in(field)]
    return max([*own, *below], default=classification_pb2.PUBLIC)


def test_no_message_of_the_contract_is_ever_logged():
    """No call of a logger is given a request, a response or a report: they are taken apart first."""
    for path in [*ROOT.glob("api/**/*.py"), *ROOT.glob("keys/*.py"), *ROOT.glob("clusters/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("logger."):
                names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
                assert not names & {"request", "response", "application", "said", "instruction"}, path
