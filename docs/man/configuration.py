#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Prints gateway.conf(5), made from the tables of docs/configuration.md, which says everything once."""
import re
import sys

HEAD = r""".\" SPDX-License-Identifier: Apache-2.0
.Dd November 21, 2026
.Dt GATEWAY.CONF 5
.Os
.Sh NAME
.Nm gateway.conf
.Nd configuration of a gateway
.Sh DESCRIPTION"""
TAIL = """.Sh FILES
.Bl -tag -width Ds
.It Pa /etc/fairlead/gateway.conf
.It Pa /usr/share/doc/fairlead-agent/examples/gateway.conf
.El
.Sh SEE ALSO
.Xr fairleadctl 1 ,
.Xr fairlead-agent 8 ,
.Xr fairlead-boot 8 ,
.Xr fairlead-helper 8"""


def text(markdown):
    """One paragraph: links become their words, code stands bare, and no line begins a request."""
    line = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", markdown).replace("\\|", "|").replace("`", "").replace("**", "")
    line = line.replace("\\", "\\e").replace("-", "\\-").strip()
    return "\\&" + line if line[:1] in ".'" else line


def section(lines):
    """The rows of tables become items, everything else paragraphs; an empty line ends both."""
    in_table, paragraph = False, []

    def flush():
        if paragraph:
            print(".Pp\n" + text(" ".join(paragraph)))
            paragraph.clear()

    for line in lines:
        row = re.fullmatch(r"\|(.*)\|", line.strip())
        if not row:
            if in_table:
                print(".El")
            in_table = False
        if row:
            flush()
            cells = [text(cell) for cell in re.split(r"(?<!\\)\|", row.group(1))]
            if not in_table:
                in_table = True
                print(".Bl -tag -width Ds")
            elif not re.fullmatch(r"(\\-|:| )+", cells[0]):
                print(f".It {cells[0]}\n{cells[1]}" + (f"\n.Pq {cells[2]}" if cells[2:] and cells[2] else ""))
        elif line.startswith("#"):
            flush()
            print(f".Ss {text(line.lstrip('#'))}")
        elif line.strip():
            paragraph.append(line.strip())
        else:
            flush()
    flush()
    if in_table:
        print(".El")


def main():
    with open(sys.argv[1], encoding="utf-8") as source:
        lines = source.read().splitlines()
    print(HEAD)
    section(lines[1:])
    print(TAIL)


if __name__ == "__main__":
    main()
