"""The page for teachers says what is so: its commands, its files, its tables, its recipes."""

import importlib.util
import re
import shlex
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner
from made_class import DIVIDED, SOFTMAX

from attncourse.cli import main
from attncourse.grading.classroom import similarity, weights
from attncourse.grading.classroom.exports import canvas, moodle
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.sandbox import PREVENTS
from pages import ROOT

PAGE = (ROOT / "book/grading-a-class.md").read_text(encoding="utf-8")
RECIPES = ROOT / "book/recipes"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(kind, text=PAGE):
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.M | re.S)


def commands(text):
    """The words of every `attncourse grade` in a text."""
    found = re.findall(r"attncourse grade [^\n`]*", text)
    return [shlex.split(line) for line in found]


def test_every_command_is_one_that_there_is():
    options = {name for option in main.commands["grade"].params for name in option.opts}
    texts = [PAGE, README, (RECIPES / "classroom.yml").read_text()]
    found = [word for text in texts for words in commands(text) for word in words]
    used = {word for word in found if word.startswith("-")}
    assert {"--out", "--scheduler", "--regrade", "--isolation"} <= used
    assert used <= options


def test_the_first_class_prints_what_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "submissions").mkdir()
    texts = {"ada.py": SOFTMAX, "bob.py": DIVIDED, "eve.ipynb": "my homework"}
    for name, text in texts.items():
        (tmp_path / "submissions" / name).write_text(text)
    (shown,) = blocks("text")
    command, _, output = shown.partition("\n")
    words = shlex.split(command.removeprefix("$ attncourse "))
    printed = CliRunner().invoke(main, [*words, "--jobs", "1"]).stdout
    isolation = re.compile(r"^Isolation: .*$", re.M)
    assert isolation.sub("", printed) == isolation.sub("", output)
    made = {path.name for path in (tmp_path / "results").iterdir()}
    named = set(re.findall(r"`([\w.]+)/?`", re.search(r"^\| file \|.*?\n\n", PAGE, re.M | re.S)[0]))
    assert made <= named
    assert named - made == {"canvas.csv", "moodle.csv", "results.schema.json"}


def test_the_weights_are_read_as_they_stand(tmp_path):
    (text,) = blocks("toml")
    (tmp_path / "w.toml").write_text(text)
    assert weights.read(tmp_path / "w.toml") == weights.Scheme(
        "Week 2", 20, "", {"softmax": 1, "attention": 3}
    )
    (line,) = re.findall(r'`(canvas = "[^`]*)`', PAGE)
    (tmp_path / "w.toml").write_text(line)
    assert weights.read(tmp_path / "w.toml").canvas == "Week 2 (4711)"


@pytest.mark.parametrize("columns", [canvas.COLUMNS, moodle.COLUMNS])
def test_the_columns_are_those_that_are_written(columns):
    assert ", ".join(f"`{name}`" for name in columns) in " ".join(PAGE.split())


def test_the_levels_and_limits_are_those_in_force():
    for level, prevents in PREVENTS.items():
        assert re.search(rf"^\| `{level}` \|[^|]*{re.escape(prevents)} \|", PAGE, re.M)
    limits, words = Limits(), " ".join(PAGE.split())
    assert (
        f"{limits.seconds:g} s of processor time for an exercise (`--seconds`), "
        f"{limits.memory / 2**30:g} GiB of memory (`--memory`) and {limits.budget:g} s in all"
    ) in words
    assert similarity.COMMON == 10
    assert "more than ten students (or a fifth) wrote" in words


def test_the_page_of_attacks_is_the_table_that_is_tested():
    page = (ROOT / "book/red-team.md").read_text(encoding="utf-8")
    command = [sys.executable, ROOT / "tests/grading/redteam/table.py"]
    table = subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout
    assert table.count("\n| ") > 60
    assert page.partition("<!-- the table -->\n")[2] == table


def test_the_workflow_is_one():
    told = yaml.safe_load((RECIPES / "classroom.yml").read_text())
    assert told["permissions"] == {"contents": "read"}
    (job,) = told["jobs"].values()
    steps = job["steps"]
    assert all(("run" in step) != ("uses" in step) for step in steps)
    runs = [step["run"] for step in steps if "run" in step]
    assert [run for run in runs if run.startswith("attncourse grade .")] != []
    assert re.search(r'"attncourse\[grade\] @ \$COURSE"', runs[1])
    assert set(told["env"]) == {"COURSE"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_slurm_job_starts_workers_of_one_thread():
    spec = importlib.util.spec_from_file_location("slurm", RECIPES / "slurm.py")
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    with recipe.cluster() as slurm:
        script = slurm.job_script()
        assert slurm.scheduler_address in script
    assert "#SBATCH --cpus-per-task=16" in script
    assert "--nthreads 1" in script
    assert "--nworkers 16" in script
