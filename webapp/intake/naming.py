"""Which study and case a file is of: by a table beside the files, a pattern of its path, or its folders."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from django.contrib.auth.models import User

from detector.slide import plausible_mpp
from webapp.core.errors import InvalidInput
from webapp.core.names import named
from webapp.intake.places import TABLE

_GROUPS = {"study", "case", "mpp"}


@dataclass(frozen=True)
class Named:
    """What is known of a file. case: empty for one of its own, under a pseudonym. mpp: um/px, where the file may not
    say it. by: who sent it, where somebody did."""

    study: str
    case: str = ""
    mpp: float | None = None
    by: User | None = None


@dataclass(frozen=True)
class Rules:
    """study: of all files for which nothing else says one. pattern: a regular expression over the whole path with the
    groups study, case and mpp, or some of them. rows: of the table, by path or name of the file."""

    study: str = ""
    pattern: re.Pattern[str] | None = None
    rows: Mapping[str, Named] = field(default_factory=dict)

    def of(self, name: str) -> Named:
        """For a path in the place. Without table and pattern: FOLDER/STUDY/CASE/file, or FOLDER/CASE/file where the
        study is set; folders further below say nothing.

        Raises InvalidInput where nothing says the study, or where what is said cannot be.
        """
        path = PurePosixPath(name)
        found = self.rows.get(_composed(name)) or self.rows.get(_composed(path.name))
        if found is None and self.pattern is not None:
            match = self.pattern.fullmatch(name)
            if match is None:
                raise InvalidInput(f"Its path is not like {self.pattern.pattern}.")
            found = _named(**match.groupdict(default=""))
        if found is None:
            folders = path.parts[:-1]
            study = "" if self.study or not folders else folders[0]
            cases = folders if self.study else folders[1:]
            found = _named(study=study, case=cases[0] if cases else "")
        if not (study := found.study or self.study):
            raise InvalidInput(
                "Nothing says which study it is of: put it into a folder with the study's name, or set the study."
            )
        return Named(study, found.case, found.mpp)


def pattern_of(text: str) -> re.Pattern[str] | None:
    """A pattern as it is set; None for none. Raises InvalidInput where it is no regular expression, or names groups
    that mean nothing here."""
    if not text:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InvalidInput(f"{text} is no regular expression: {error}.") from error
    if not pattern.groupindex or set(pattern.groupindex) - _GROUPS:
        raise InvalidInput(f"{text} must name study, case or mpp as groups, such as (?P<case>[^/]+), and no others.")
    return pattern


def rows_of(table: bytes) -> dict[str, Named]:
    """The rows of `TABLE`, by the column file: a path, or a name. Raises InvalidInput naming the line."""
    try:
        text = table.decode("utf-8-sig").lstrip()
    except UnicodeDecodeError:
        raise InvalidInput(f"{TABLE} is not UTF-8; save it as such.") from None
    if not text:
        return {}
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in text.splitlines()[0] else ",")
    rows = {}
    try:
        if "file" not in (reader.fieldnames or ()):
            raise InvalidInput(f"{TABLE} has no column `file`; its columns are file, study, case, mpp.")
        for row in reader:
            name = (row["file"] or "").strip().replace("\\", "/")
            said = {key: (row.get(key) or "").strip() for key in _GROUPS}
            try:
                rows[_composed(name)] = _named(**said)
            except InvalidInput as error:
                raise InvalidInput(f"{TABLE}, line {reader.line_num}: {error}") from error
    except csv.Error as error:
        raise InvalidInput(f"{TABLE}, line {reader.line_num}: {error}; is a quotation mark missing?") from error
    return rows


def _composed(name: str) -> str:
    """In NFC; macOS takes the names of files apart."""
    return unicodedata.normalize("NFC", name)


def _named(*, study: str = "", case: str = "", mpp: str = "") -> Named:
    number = None
    if mpp:
        try:
            number = float(mpp.replace(",", "."))
        except ValueError:
            raise InvalidInput(f"{mpp} is no number of um/px.") from None
        if plausible_mpp(number, number) is None:
            raise InvalidInput(f"{mpp} um/px: it must lie between 0.05 and 5; a 40x scan has about 0.25.")
    return Named(named(study, what="study", longest=100), named(case, what="case", longest=100), number)
