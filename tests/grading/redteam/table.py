"""The red team as a table in Markdown: what is tried, where, and what counts as held.

python tests/grading/redteam/table.py
"""

from attacks import ATTACKS, WITH_LIMITS_ONLY

KINDS = {
    "exit": "It ends, hangs or crashes its process",
    "judge": "It looks for the judge, or patches what a judge would use",
    "liar": "It gives values that lie about themselves",
    "forged": "It forges messages and reports",
    "bomb": "It uses up time, memory, disk, processes or the parser",
    "spy": "It reads, writes or reaches what is not its own",
    "smuggled": "It leaves code for the next to run",
    "notebook": "The file itself is hostile",
    "forbidden": "It uses what the exercise asks to write",
    "cost": "It hides what it costs",
    "seen": "It recognises inputs, calls or the grader",
    "neighbour": "One exercise prepares the process for the next",
}
ALWAYS = (
    "In every row the next submission gets what it deserves, no process is left, the teacher's "
    "file is as it was, nothing connects to the teacher's server, no secret is told, and it takes "
    "a few seconds at most."
)


def table() -> str:
    """One row for each attack."""
    rows = ["| attack | kind | held if | tried at |", "|---|---|---|---|"]
    for name, attack in ATTACKS.items():
        kind, _, title = name.partition(": ")
        rows.append(f"| {title} | {kind} | {_held(attack)} | {_levels(name, attack)} |")
    kinds = [f"- **{kind}**: {text}." for kind, text in KINDS.items()]
    count = f"{len(ATTACKS)} attacks, of which {sum(a.confined for a in ATTACKS.values())} need"
    head = f"{count} a level that confines, and {len(WITH_LIMITS_ONLY)} are tried without one too."
    return "\n".join([head, "", ALWAYS, "", *kinds, "", *rows, ""])


def _held(attack) -> str:
    """What counts as held, in words."""
    earns = f"at most {attack.most} of 3 checks pass" if attack.most else "no check passes"
    told = attack.told.replace("|", "\\|")
    return f"{earns}; it is told `{told}`" if told else earns


def _levels(name, attack) -> str:
    strongest = "the strongest"
    more = [", kernel"] * attack.confined + [", limits"] * (name in WITH_LIMITS_ONLY)
    return strongest + "".join(more)


if __name__ == "__main__":
    print(table(), end="")
