"""Pages' shell blocks, pasted one after the other at a running platform, print what the pages say."""

import json

import pytest
from django.core.management import call_command

from tests.contract.reference import differences
from tests.docs.blocks import blocks_of, fits
from tests.docs.conftest import Machine
from tests.docs.covered import WALKED
from tests.docs.test_blocks import fetches, makes

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("page", WALKED)
def test_a_page_can_be_pasted_and_prints_what_it_says(page: str, machine: Machine) -> None:
    if page == "docs/templates.md":
        call_command("load_gallery")
    blocks = blocks_of(page)
    pasted = [block for block in blocks if block.is_shell and not makes(block) and not fetches(block)]
    printed = machine.paste(pasted)
    answers = {blocks[place]: block for place, block in enumerate(blocks[1:]) if block.answers}
    for block, said in zip(pasted, printed, strict=True):
        answer = answers.get(block)
        if answer is not None and answer.language == "json":
            assert list(differences(json.loads(answer.text), json.loads(said))) == [], f"{block} printed:\n{said}"
        elif answer is not None:
            assert fits(answer.text, said), f"{block} printed:\n{said}"
