"""The CI examples: valid for their systems, and run here step by step against the generator."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from conftest import FIXTURES, PROJECT
from synthetic import cell
from test_cli_help import EVERY

from paritylab import catalog, ci
from paritylab.accept import accept
from paritylab.durations import Durations
from paritylab.results import Results, read
from paritylab.shards import Shard, split

EXAMPLES = PROJECT / "examples/ci"
SHARDS = 2


@pytest.fixture
def course(project: Path, tmp_path: Path) -> Path:
    """A committed project of six labs, one of them wrong, that runs on the interpreter at hand."""
    if shutil.which("git") is None:
        pytest.skip("no git on this machine")
    shutil.copy(FIXTURES / "stand_in/torch.py", tmp_path)
    for number in range(5):
        shutil.copytree(project / "labs/double", project / f"labs/double{number}")
    for lab in catalog.load(project).labs.values():
        accept(lab, [], []).write()
    wrong = project / "labs/double3/pytorch.py"
    wrong.write_text(wrong.read_text().replace("+", "-"))
    shutil.copytree(PROJECT / "tests/labs", project / "tests/labs")
    (project / ".gitignore").write_text("reports/\n")
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-q", "-m", "all")):
        subprocess.run(["git", *words], cwd=project, check=True)
    return project


def shell(script: str, folder: Path, variables: Mapping[str, str]) -> int:
    """Run a step's script as a CI system does; return its exit status."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    known = {name: text for name, text in os.environ.items() if not name.startswith("PARITYLAB")}
    known["PYTEST_XDIST_AUTO_NUM_WORKERS"] = "0"  # six short cells
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        env={**known, "PATH": path, "PYTHONPATH": str(folder.parent), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode


def example(name: str) -> dict[str, Any]:
    """An example as YAML tells it."""
    found: dict[str, Any] = yaml.safe_load((EXAMPLES / name).read_text())
    return found


def filled(text: str, names: Mapping[str, Any]) -> str:
    """Replace every expression by what it stands for; an unknown one is a KeyError."""
    return re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda found: str(names[found[1]]), text)


def steps(job: Mapping[str, Any]) -> Iterator[str]:
    """The scripts of a GitHub job that need neither the index nor a cache's hit."""
    for step in job["steps"]:
        needless = step.get("run", "pip install").startswith("pip install")
        if not needless and "cache-hit" not in str(step.get("if", "")):
            yield step["run"]


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ("vendor.github-workflows", "github.yml"),
        ("vendor.gitlab-ci", "gitlab-ci.yml"),
        ("vendor.gitlab-ci", "gitlab-labs.yml"),
    ],
)
def test_examples_are_valid_by_the_published_schemas(schema: str, name: str) -> None:
    """A key that GitHub or GitLab does not know is found here, not after a push."""
    check_schema(schema, EXAMPLES / name)


def check_schema(schema: str, path: Path) -> None:
    """Fail with what the schema says against a file."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["github.yml", "gitlab-ci.yml", "gitlab-labs.yml"])
def test_every_command_in_an_example_has_the_options_it_is_given(name: str) -> None:
    """Also in the steps that need an engine, and so are not run here."""
    found = [
        words.split()
        for script in texts(example(name))
        for words in re.findall(r"\bparitylab ([a-z][^|;)&]*)", script)
    ]
    assert found
    for words in found:
        led = next(known for known in EVERY if tuple(words[: len(known)]) == known)
        options = {one for given in EVERY[led].params for one in given.opts}
        assert {word for word in words if word.startswith("--")} <= options, words


def texts(node: Any) -> Iterator[str]:
    """Every string below a node of YAML."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping):
        yield from texts(list(node.values()))
    elif isinstance(node, list):
        for one in node:
            yield from texts(one)


def test_github_example_runs_the_generated_matrix_and_merges_it(course: Path) -> None:
    """Every step's command, on a real project: two jobs find what one run finds."""
    workflow = example("github.yml")
    variables = {**workflow["env"], "ENGINE": "here", "SHARDS": str(SHARDS)}
    jobs = workflow["jobs"]
    output = course.parent / "output"
    for script in steps(jobs["matrix"]):
        assert shell(script, course, {**variables, "GITHUB_OUTPUT": str(output)}) == 0
    name, _, value = output.read_text().strip().partition("=")
    needed = jobs["labs"]["strategy"]["matrix"]
    assert jobs["matrix"]["outputs"][name] == f"${{{{ steps.matrix.outputs.{name} }}}}"
    assert needed == f"${{{{ fromJSON(needs.matrix.outputs.{name}) }}}}"
    codes = []
    for job in json.loads(value)["include"]:
        names = {f"matrix.{key}": fact for key, fact in job.items()}
        filled(json.dumps(jobs["labs"] | {"strategy": None}), names)  # every name is generated
        own = {key: filled(text, names) for key, text in jobs["labs"]["env"].items()}
        for script in steps(jobs["labs"]):
            codes.append(shell(script, course, {**variables, **own}))
    assert sorted(codes) == [0, 1]
    assert [shell(script, course, variables) for script in steps(jobs["report"])] == [1, 0]
    assert_whole(course)


def test_gitlab_example_runs_the_generated_pipeline_and_merges_it(course: Path) -> None:
    """The parent's script makes the child pipeline; its jobs extend what the example holds."""
    parent, child = example("gitlab-ci.yml"), example("gitlab-labs.yml")
    forwarded = parent["variables"]  # a trigger job gives what is global to the child pipeline
    variables = {**child["variables"], **forwarded, "ENGINE": "here", "SHARDS": str(SHARDS)}
    shell(parent["matrix"]["script"][1], course, variables)
    made = course / "jobs.yml"
    check_schema("vendor.gitlab-ci", made)
    assert {"artifact": "jobs.yml", "job": "matrix"} in parent["labs"]["trigger"]["include"]
    (name, job), *rest = yaml.safe_load(made.read_text()).items()
    assert not rest
    assert name not in child
    template = child[job["extends"]]
    assert template["stage"] in child["stages"]
    used = set(re.findall(r"\$([A-Z]\w*)", json.dumps(template)))
    used -= {*child["variables"], *forwarded}
    codes = []
    for own in job["parallel"]["matrix"]:
        assert used <= set(own)
        codes += [shell(script, course, {**variables, **own}) for script in template["script"]]
    assert sorted(codes) == [0, 1]
    report = child["report"]
    scripts = [*report["script"], *report["after_script"]]
    codes = [shell(s, course, variables) for s in scripts if not s.startswith("pip")]
    assert codes == [1, 0]
    assert read(course / "reports/results.json").project["commit"]
    assert (course / "reports/report.html").is_file()


def test_github_example_keeps_images_where_a_lab_is_red_and_can_be_run_again() -> None:
    """One red lab does not build the images anew on every push; half of them are never kept."""
    jobs = example("github.yml")["jobs"]
    found = jobs["labs"]["steps"]
    uses = [step.get("uses", step.get("id", "")) for step in found]
    restore, save = uses.index("actions/cache/restore@v4"), uses.index("actions/cache/save@v4")
    pytest_step = next(n for n, s in enumerate(found) if s.get("run", "").startswith("pytest"))
    assert restore < pytest_step < uses.index("export") < save
    assert found[save]["with"] == found[restore]["with"]
    assert "actions/cache@v4" not in uses  # it saves only where all is green
    missed = f"steps.{found[restore]['id']}.outputs.cache-hit != 'true'"
    assert found[uses.index("export")]["if"] == f"always() && {missed}"
    assert found[save]["if"] == "always() && steps.export.outcome == 'success'"
    every = [step for job in jobs.values() for step in job["steps"]]
    uploads = [step["with"] for step in every if "/upload-artifact@" in step.get("uses", "")]
    assert [given["overwrite"] for given in uploads] == [True, True]


def test_gitlab_example_keeps_images_where_a_lab_is_red(tmp_path: Path) -> None:
    """Export has the time it needs and is not skipped for a folder that was cut off."""
    template = example("gitlab-labs.yml")[".labs"]
    assert template["cache"]["when"] == "always"
    assert template["variables"]["RUNNER_AFTER_SCRIPT_TIMEOUT"] == "20m"
    (export,) = template["after_script"]
    assert export.startswith("for name in $ENVIRONMENTS; do paritylab images export images ")
    load = template["before_script"][1]
    assert shell(load, tmp_path, {}) == 0  # no cache
    (tmp_path / "images").mkdir()
    (tmp_path / "images/env.tar.partial").touch()
    assert shell(load, tmp_path, {}) == 0
    assert not (tmp_path / "images").exists()


def test_gitlab_example_sets_what_pip_installs_once() -> None:
    """A second definition would be one that a reader changes in vain."""
    parent, child = example("gitlab-ci.yml"), example("gitlab-labs.yml")
    assert parent["variables"]["PARITYLAB"]
    assert json.dumps([parent, child]).count('"PARITYLAB":') == 1
    assert "inherit" not in parent["labs"]
    assert "forward" not in parent["labs"]["trigger"]


def assert_whole(course: Path) -> None:
    """The merged files hold what one run of everything holds."""
    whole = course / "reports/whole.json"
    words = f"pytest tests/labs -n 0 --engine here --results {whole} --junitxml reports/whole.xml"
    assert shell(words, course, {}) == 1
    merged, once = read(course / "reports/results.json"), read(whole)
    assert facts(merged) == facts(once)
    assert merged.project == once.project
    assert once.project["dirty"] is False
    assert cases(course / "reports/junit.xml") == cases(course / "reports/whole.xml")
    assert (course / "reports/report.html").is_file()
    learned = json.loads((course / "reports/durations.json").read_text())["cells"]
    assert sorted(one["cell"] for one in learned) == sorted(
        one.cell for one in once.cells if one.verdict.green
    )
    assert len(learned) == 5


def facts(results: Results) -> list[tuple[object, ...]]:
    """What of a run's cells does not depend on the clock."""
    ordered = sorted(results.cells, key=lambda one: one.cell)
    return [(one.cell, one.verdict, one.digest, one.message, one.divergences) for one in ordered]


def cases(path: Path) -> dict[object, object]:
    """JUnit's cases: name to outcome, its message, and properties."""
    found = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        outcome = [
            (one.tag, one.get("message")) for one in case if one.tag in ("failure", "skipped")
        ]
        told = {(one.get("name"), one.get("value")) for one in case.iter("property")}
        found[case.get("classname"), case.get("name")] = (outcome, told)
    assert found
    return found


def synthetic(count: int) -> tuple[Shard, ...]:
    """A split over two environments."""
    cells = [cell(f"lab{n}", "tf1", where) for where in ("env-a", "env-b") for n in range(40)]
    return split(cells, count, Durations(setup=3.0))


def test_cache_key_is_the_environments_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Jobs of the same environments share an entry; another lock is another entry."""
    parts = synthetic(4)
    keys = {part.environments: ci.cache_key(part) for part in parts}
    assert len(keys) == len(set(keys.values())) == 2
    assert [ci.cache_key(part) for part in parts] == [keys[part.environments] for part in parts]
    stack = parts[0].cells[0].environment.stacks["cpu"]
    before = ci.cache_key(parts[0])
    for one in parts[0].cells:
        monkeypatch.setitem(
            one.environment.stacks, "cpu", type(stack)(**{**vars(stack), "lock_digest": "new"})
        )
    assert ci.cache_key(parts[0]) != before


def test_jobs_hold_every_cell_once_and_say_what_they_are() -> None:
    """`--json` is for a CI system of any kind; GitHub's is the same without the cells."""
    parts = synthetic(4)
    told = ci.jobs(parts)
    assert sorted(name for job in told for name in job["cells"]) == sorted(
        one.id for part in parts for one in part.cells
    )
    assert [job["shard"] for job in told] == ["1/4", "2/4", "3/4", "4/4"]
    flat = ci.github(parts)["include"]
    assert all(isinstance(value, (str, int, float)) for job in flat for value in job.values())
    assert len(json.dumps(flat)) < 1_000_000  # GitHub's limit for an output
