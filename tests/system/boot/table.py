# SPDX-License-Identifier: Apache-2.0
"""What each case took on each boot loader: lines for the table that script/campaign prints."""
from harness import BUILD
from system import LOADERS

TABLE = BUILD.parent / "campaign/boot.tsv"


def note(gateway, case, boots, seconds, end):
    """boots: the slots, in order."""
    loader = next(name for name, back_end in LOADERS.items() if back_end is gateway.back_end)
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    with open(TABLE, "a", encoding="utf-8") as out:  # files of tests run side by side
        out.write(f"{loader}\t{case}\t{len(boots)}\t{seconds:.0f}\t{end}\n")
