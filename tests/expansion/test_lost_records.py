"""A case that was expanded somewhere else, by workers without the same file system, is named."""

import nnunet_paseg.expansion.cases
from tests.expansion.conftest import expand, write_case


def test_a_record_that_is_not_there(tmp_path, monkeypatch, capsys, no_sheet):
    write_case(tmp_path, "a")
    monkeypatch.setattr(
        nnunet_paseg.expansion.cases, "expand_cases", lambda cases, *_: ((files, None) for files in cases)
    )
    assert expand(tmp_path) == 2
    assert f"Case a: it was expanded, but its record is not in {tmp_path / 'out'}" in capsys.readouterr().err
