# SPDX-License-Identifier: Apache-2.0
"""The pages say what the programs do: codes, commands, options."""
import re

from harness import BIN, ROOT, run


def test_the_page_of_codes_is_fresh():
    assert run(ROOT / "docs/codes.py", "--check", check=False).returncode == 0, "run docs/codes.py"


def items(page):
    """(command, options) of each command of a man page, and what stands before them."""
    text = (ROOT / "docs/man" / page).read_text(encoding="utf-8")
    parts = re.split(r"^\.It Ic ", text, flags=re.M)
    return {re.sub(r" Ar \S+", "", part.split("\n", 1)[0]): set(re.findall(r"Fl -([a-z-]+)", part)) for part in parts[1:]}, parts[0]


def test_the_man_page_of_fairlead_has_every_command_and_option():
    documented, head = items("fairlead.1")
    listed = run(BIN / "fairlead", "--help").split("Commands:\n")[1].split("\n\n")[0]
    commands = [re.match(r"  ((?:[a-z-]+ ?)+)", line).group(1).strip() for line in listed.splitlines()]
    assert sorted(documented) == sorted(commands)
    everywhere = set(re.findall(r"Fl -([a-z]+)", head))
    for command in commands:
        options = set(re.findall(r"--([a-z-]+)", run(BIN / "fairlead", *command.split(), "--help").split("Options:")[1]))
        named = set(re.findall(r"--([a-z-]+)", run(BIN / "fairlead", *command.split(), "--help").split("Exit codes:")[1]))
        assert options - named - documented[command] - everywhere <= set(), command


def test_the_man_page_of_fairleadctl_has_every_verb_and_option():
    text = (ROOT / "docs/man/fairleadctl.1").read_text(encoding="utf-8")
    help_text = run(BIN / "fairleadctl", "--help")
    for verb in re.findall(r"^  ([a-z]+) ", help_text.split("Verbs:\n")[1].split("\n\n")[0], flags=re.M):
        assert re.search(rf"^\.It Cm {verb}( (Op|Ar|Cm) .*)?$", text, flags=re.M), verb
    for option in re.findall(r"--([a-z-]+)", help_text.split("Options:")[1]):
        assert f"Fl -{option}" in text, option


def test_exit_codes_are_the_same_in_help_and_man_page():
    for program in ("fairlead", "fairleadctl"):
        text = (ROOT / f"docs/man/{program}.1").read_text(encoding="utf-8").split(".Sh EXIT STATUS")[1].split(".Sh ")[0]
        listed = re.findall(r"^  (\d)  ", run(BIN / program, "--help"), flags=re.M)
        assert re.findall(r"^\.It (\d)$", text, flags=re.M) == listed == ["0", "1", "2", "3", "4"], program
