"""The one door: `jaxhsi COMMAND`, its help, its completions, and what it does not load."""

import subprocess
import sys

import pytest

from jaxhsi.__main__ import ENTRIES, main

SLOW_MODULES = {
    *("jax", "jaxlib", "flax", "optax", "scipy", "sklearn", "rasterio", "matplotlib", "orbax"),
    *("tensorstore", "grain", "h5py", "pandas", "xarray"),
}
COMMANDS = ["train dgc", "train gmcr", *(name for name in ENTRIES if name != "train")]


def printed(capsys, *arguments: str, code: int = 0) -> str:
    try:
        exit_code = main(arguments)
    except SystemExit as ended:  # of argparse
        exit_code = ended.code
    assert exit_code == code
    printed_text = capsys.readouterr()
    return printed_text.out if code == 0 else printed_text.err


def test_help_lists_every_command_and_the_exit_codes(capsys):
    text = printed(capsys, "--help")
    assert all(f"  {name} " in text for name in ENTRIES)
    assert "130  stopped by Ctrl+C" in text
    assert len(text.splitlines()) <= 40


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_is_one_screen_with_an_example(capsys, command):
    text = printed(capsys, *command.split(), "--help")
    assert f"usage: jaxhsi {command}" in text
    assert f"example: jaxhsi {command}" in text
    assert "--help_all" in text
    lines = text.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    assert not [line for line in lines if line.endswith("...") and "usage" not in line]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("trian", "dgc"), "there is no command 'trian'; did you mean train?"),
        (("train", "dcg"), "there is no method 'dcg'; did you mean dgc?"),
        (("--versoin",), "did you mean --version?"),
        (("train", "dgc", "--num_cluster", "3"), "did you mean --num_clusters?"),
        (("predict", "a", "b", "--geotif"), "did you mean --geotiff?"),
        (("--completion", "fish"), "bash, zsh, tcsh"),
        ((), "usage: jaxhsi COMMAND"),
    ],
)
def test_the_nearest_name_is_told(capsys, arguments, words):
    assert words in printed(capsys, *arguments, code=2)


def test_the_version_names_jax_and_its_devices(capsys):
    import jax

    text = printed(capsys, "--version")
    assert text.startswith("jaxhsi ")
    assert f"JAX {jax.__version__}" in text
    assert str(jax.devices()[0]) in text


def test_help_loads_nothing_that_takes_long():
    code = (
        "import sys\nfrom jaxhsi.__main__ import main\n"
        f"for command in {COMMANDS}:\n"
        "    try: main([*command.split(), '--help'])\n"
        "    except SystemExit: pass\n"
        "    loaded = {name.split('.')[0] for name in sys.modules}\n"
        f"    assert not loaded & {SLOW_MODULES}, (command, loaded & {SLOW_MODULES})\n"
    )
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)


def test_help_takes_little_time():
    code = (
        "import resource, subprocess, sys\n"
        "arguments = [sys.executable, '-m', 'jaxhsi', 'train', 'gmcr', '--help']\n"
        "subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)\n"
        "usage = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(usage.ru_utime + usage.ru_stime)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert min(float(run.stdout) for run in runs) < 1.5


@pytest.mark.skipif(sys.platform == "win32", reason="no bash")
def test_bash_completes_commands_options_and_values(capsys, tmp_path):
    (tmp_path / "completion").write_text(printed(capsys, "--completion", "bash"))
    code = (
        "source completion\n"
        'complete_words() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()\n'
        '_shtab_jaxhsi 2> /dev/null; echo "${COMPREPLY[@]}"; }\n'
        "complete_words jaxhsi pre\n"
        "complete_words jaxhsi train ''\n"
        "complete_words jaxhsi train dgc --num_cl\n"
        "complete_words jaxhsi train dgc --layout hw\n"
    )
    done = subprocess.run(
        ["bash", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    commands, methods, options, layouts = (set(line.split()) for line in done.stdout.splitlines())
    assert "predict" in commands
    assert {"dgc", "gmcr"} <= methods
    assert options == {"--num_clusters"}
    assert layouts == {"hwc"}


EARLY = """
import signal, sys
import jaxhsi.__main__ as command

class Interrupting:
    def find_spec(self, name, *_):
        if name == "jaxhsi.training.stop_signals":
            signal.raise_signal(signal.SIGTERM)

sys.meta_path.insert(0, Interrupting())
sys.argv = ["jaxhsi", "--help"]
command.main()
"""


def test_a_signal_that_comes_first_thing_is_said():
    done = subprocess.run([sys.executable, "-c", EARLY], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "\nstopped by SIGTERM\n")
