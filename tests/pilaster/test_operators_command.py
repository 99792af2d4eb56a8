"""`pilaster operators`: what is taken from files, as the importers' registries have it."""

import json
import re

from pilaster.models.importers.operators import supported_operators
from tests.pilaster.conftest import Command


def test_the_command_lists_what_the_importers_support(command: Command) -> None:
    listed = [(o.name, o.format, o.support) for o in supported_operators()]
    found = json.loads(command("operators", "--json").out)
    assert [tuple(entry.values()) for entry in found] == listed
    table = command("operators").out
    for name, suffix, support in listed:
        assert re.search(rf"^{name} +{re.escape(suffix)} +{support} *$", table, re.MULTILINE), name
