#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/codes.md from lib/base/codes.def. With --check only tells whether it is fresh (exit status 1: it is not)."""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE, PAGE = ROOT / "lib/base/include/fairlead/base/codes.def", ROOT / "docs/codes.md"
HEAD = """# Codes

Every error and every reason, by the name that is shown everywhere: in messages of the programs, in reports, in REST answers, in
logs, in `fairlead jobs show` and `fairleadctl why`. Names and numbers are stable for ever. *Again*: the same act may succeed
later without anybody's doing. Made by `docs/codes.py` from `lib/base/include/fairlead/base/codes.def`; a test holds it fresh.
"""
ROW = re.compile(r'^CODE\((\w+), (\d+), ([01]), "((?:[^"\\]|\\.)*)"\)$')
SECTION = re.compile(r"^/\* (.+) \*/$")


def page(text):
    """The Markdown of the table in text; a line that is neither code nor comment is an error."""
    out, numbers, names = [HEAD], set(), set()
    body = text[text.index("*/") + 2:]
    for line in filter(None, map(str.strip, body.splitlines())):
        if section := SECTION.match(line):
            title = section.group(1)
            out.append(f"\n## {title[0].upper()}{title[1:]}\n\n| code | number | again | meaning |\n|---|---|---|---|\n")
            continue
        row = ROW.match(line)
        if not row:
            raise SystemExit(f"codes.py: what is this? {line}")
        name, number, again, meaning = row.groups()
        if number in numbers or name in names:
            raise SystemExit(f"codes.py: {name} or {number} stands twice")
        numbers.add(number)
        names.add(name)
        out.append(f"| `{name.lower()}` | {number} | {'yes' if again == '1' else ''} | {meaning} |\n")
    return "".join(out)


def main():
    fresh = page(SOURCE.read_text(encoding="utf-8"))
    if sys.argv[1:] == ["--check"]:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != fresh)
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
