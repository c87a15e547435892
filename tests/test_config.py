from functools import partial
from pathlib import Path

import pytest

from jaxhsi.config.dgc import DGCConfig, MonitorOptions, StreamOptions
from jaxhsi.config.files import check_same_run, read_config, saved_command, write_config
from jaxhsi.config.gmcr import RESUMABLE_CHANGES, GMCRConfig
from jaxhsi.config.parser import (
    chosen_method,
    config_parser,
    parsed_config,
    with_bare_switches,
)
from jaxhsi.data.synthetic.mixture_options import MixtureOptions
from jaxhsi.dgc.options import ViewOptions
from jaxhsi.storage.checksums import text_with_checksum
from jaxhsi.upstream.dgc.options import BalanceOptions, LossWeights

FOLDER = Path(__file__).parents[1] / "configs"
CONFIGS = sorted(FOLDER.glob("dgc_*.yaml"))
GMCR_CONFIGS = sorted(FOLDER.glob("gmcr*.yaml"))


def parse(*arguments: str) -> DGCConfig:
    method = chosen_method(DGCConfig, arguments)
    parser = config_parser(DGCConfig, method=method, prog="dgc")
    return parsed_config(DGCConfig, parser, parser.parse_args(list(arguments)))


def refusal(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit):
        parse(*arguments)
    return capsys.readouterr().err


def test_defaults_are_the_dataclass():
    assert parse() == DGCConfig()


def test_no_arguments_at_all():
    assert with_bare_switches(DGCConfig, []) == []
    assert with_bare_switches(DGCConfig, ["--raw"]) == ["--raw=true"]


def test_nested_options_and_files(tmp_path):
    (tmp_path / "c.yaml").write_text("num_clusters: 3\nviews:\n  crop: 24\n  noise: 0.5\n")
    config = parse("--config", str(tmp_path / "c.yaml"), "--views.crop", "16", "--seed", "4")
    assert (config.num_clusters, config.seed) == (3, 4)
    assert config.views == ViewOptions(crop=16, noise=0.5)


def test_a_written_configuration_reads_back(tmp_path):
    config = DGCConfig(
        data="cubes", labels=Path("labels"), out=Path("run"), size=(3, 4), views=ViewOptions(crop=8)
    )
    write_config(config, tmp_path / "config.yaml")
    assert parse("--config", str(tmp_path / "config.yaml")) == config


def test_a_written_configuration_is_read_as_plain_values(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(text_with_checksum("command: &a dgc\nout: *a\n"))
    for read in (saved_command, partial(read_config, DGCConfig)):
        with pytest.raises(ValueError, match=r"config\.yaml is damaged: .*the alias"):
            read(path)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
def test_shipped_configurations_are_valid(path):
    assert isinstance(parse("--config", str(path)), DGCConfig)


def test_the_leaf_configuration_spells_out_the_defaults():
    [path] = [p for p in CONFIGS if p.name == "dgc_leaf.yaml"]
    assert parse("--config", str(path)) == DGCConfig()


def test_the_upstream_configuration_has_upstreams_weights():
    [path] = [p for p in CONFIGS if p.name == "dgc_upstream.yaml"]
    config = parse("--config", str(path))
    assert tuple(config.prototype.loss_weights)[:5] == (1.0, 0.001, 2.0, 2.0, 1.0)
    assert (config.method, config.views.crop, config.stream.batch_size) == ("upstream", 64, 4)
    assert config.stream.standardise_cubes


def test_every_repair_of_upstreams_method_is_an_option():
    config = parse(
        *("--method", "upstream", "--prototype.scrambled_pixels", "false"),
        *("--prototype.data_initialisation", "true", "--prototype.revive_clusters", "true"),
        *(
            "--prototype.loss_weights",
            "{usage_entropy: -2, grid_consistency: 0, overlap_consistency: 1}",
        ),
        *("--prototype.balance.kind", "share_floor", "--prototype.balance.min_share", "0.02"),
    )
    options = config.prototype
    assert options.loss_weights == LossWeights(
        usage_entropy=-2, grid_consistency=0, overlap_consistency=1
    )
    assert options.balance == BalanceOptions("share_floor", 0.02)
    assert options.data_initialisation
    assert options.revive_clusters


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--num_cluster", "3"), "did you mean --num_clusters?"),
        (("--num_cluster", "out.npy"), "did you mean --num_clusters?"),
        (("--views.crp", "3"), "did you mean --views.crop?"),
        (("--crop", "3"), "did you mean --views.crop?"),
        (("--qqq", "3"), "--help_all lists all options"),
        (("cube.hdr",), "did you mean --data cube.hdr?"),
        (("--num_clusters", "many"), "num_clusters"),
        (("--method", "magic"), "teacher_student"),
        (("--teacher_student.normalisations", "[msc]"), "snv"),
        (("--config", "missing.yaml"), "missing.yaml"),
    ],
)
def test_wrong_options_are_refused_by_name(capsys, arguments, named):
    assert named in refusal(capsys, *arguments)


def test_unknown_options_get_the_nearest_name_and_not_all(capsys):
    message = refusal(capsys, "--num_cluster", "3")
    assert "ignore_label" not in message
    assert len(message.splitlines()) <= 5


@pytest.mark.parametrize(
    ("text", "named"),
    [("num_cluster: 3\n", "--num_clusters?"), ("views:\n  crp: 3\n", "--views.crop?")],
)
def test_unknown_keys_in_a_file_are_refused_with_the_nearest(capsys, tmp_path, text, named):
    (tmp_path / "c.yaml").write_text(text)
    message = refusal(capsys, "--config", str(tmp_path / "c.yaml"))
    assert f"did you mean {named}" in message


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"num_clusters": 0}, "--num_clusters 0"),
        ({"steps": -1}, "--steps -1"),
        ({"monitor": MonitorOptions(every=0)}, "--monitor.every 0"),
        (
            {"monitor": MonitorOptions(max_information_loss=1.0)},
            "--monitor.max_information_loss 1.0",
        ),
        ({"stream": StreamOptions(batch_size=0)}, "--stream.batch_size 0"),
        (
            {"stream": StreamOptions(sample_size=4), "num_clusters": 5},
            "--stream.sample_size 4 spectra",
        ),
    ],
)
def test_values_out_of_range_are_refused(wrong, named):
    with pytest.raises(ValueError, match=named):
        DGCConfig(**wrong)


def test_help_speaks_of_every_fixed_option(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    text = capsys.readouterr().out
    for name in ("config", "data", "labels", "out", "seed", "num_clusters", "steps", "devices"):
        assert f"--{name}" in text
    assert "built-in leaf" in text


def printed_help(capsys, parse_arguments, *arguments: str) -> str:
    with pytest.raises(SystemExit, match="0"):
        parse_arguments(*arguments)
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "method", "shown", "hidden"),
    [
        ("dgc", "teacher_student", "--teacher_student.", "--prototype."),
        ("dgc", "upstream", "--prototype.", "--teacher_student."),
        ("gmcr", "gated", "--solver.", "--joint."),
        ("gmcr", "upstream", "--joint.", "--solver."),
    ],
)
def test_help_has_the_options_of_one_method_on_two_screens(capsys, command, method, shown, hidden):
    parse_arguments = {"dgc": parse, "gmcr": parse_gmcr}[command]
    text = printed_help(capsys, parse_arguments, "--method", method, "--help")
    assert shown in text
    assert hidden not in text
    assert len(text.splitlines()) <= 40
    assert max(map(len, text.splitlines())) <= 100
    full_text = printed_help(capsys, parse_arguments, "--method", method, "--help_all")
    assert "(type: int" in full_text
    assert hidden not in full_text


def test_a_file_chooses_the_method_and_later_arguments_win(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("method: upstream\nprototype:\n  all_pairs: true\n")
    config = parse("--config", str(path), "--prototype.zero_padding", "false")
    assert (config.method, config.prototype.all_pairs) == ("upstream", True)
    assert chosen_method(DGCConfig, ["--config", str(path)]) == "upstream"
    arguments = [f"--config={path}", "--method=teacher_student"]
    assert chosen_method(DGCConfig, arguments) == "teacher_student"


def test_options_of_another_method_are_refused(capsys):
    message = refusal(capsys, "--prototype.all_pairs", "true")
    assert "--prototype.all_pairs belongs to --method upstream" in message


def test_a_file_says_its_command_and_holds_one_method(tmp_path):
    path = tmp_path / "config.yaml"
    write_config(DGCConfig(method="upstream"), path)
    assert path.read_text().splitlines()[1] == "command: dgc"
    assert "teacher_student:" not in path.read_text()
    assert read_config(DGCConfig, path) == DGCConfig(method="upstream")
    assert saved_command(path) == "dgc"
    with pytest.raises(ValueError, match="holds options of the command dgc, not of gmcr"):
        parse_gmcr("--config", str(path), "--method", "gated")
    path.write_text(text_with_checksum("steps: 3\n"))
    with pytest.raises(ValueError, match="does not say which command"):
        saved_command(path)


# gmcr ---------------------------------------------------------------------------------------------


def parse_gmcr(*arguments: str) -> GMCRConfig:
    method = chosen_method(GMCRConfig, arguments)
    parser = config_parser(GMCRConfig, method=method, prog="gmcr")
    return parsed_config(GMCRConfig, parser, parser.parse_args(list(arguments)))


def test_gmcr_defaults_are_the_dataclass():
    assert parse_gmcr() == GMCRConfig()


def test_gmcr_options_of_every_group():
    config = parse_gmcr(
        *(
            "--num_candidates",
            "7",
            "--solver.evidence_factor",
            "1.5",
            "--amortised.training_steps",
            "10",
        ),
        *("--mixture.snr_db", "null", "--mixture.max_mixed", "null", "--truth", "t.npz"),
        *("--data", "d.csv", "--spectra", "columns"),
    )
    assert (
        config.num_candidates,
        config.solver.evidence_factor,
        config.amortised.training_steps,
    ) == (7, 1.5, 10)
    assert config.mixture == MixtureOptions(snr_db=None, max_mixed=None)
    assert (config.data, config.truth, config.spectra) == ("d.csv", Path("t.npz"), "columns")


def test_a_written_gmcr_configuration_reads_back_and_knows_what_may_change(tmp_path):
    path = tmp_path / "config.yaml"
    config = GMCRConfig(data="t.csv", num_candidates=5, mixture=MixtureOptions(bands=64))
    write_config(config, path)
    assert parse_gmcr("--config", str(path)) == config
    other = parse_gmcr("--config", str(path), "--amortised.training_steps", "5", "--truth", "t.npz")
    check_same_run(other, path, RESUMABLE_CHANGES)
    other = parse_gmcr("--config", str(path), "--solver.evidence_factor", "1.5")
    with pytest.raises(ValueError, match=r"--solver\.evidence_factor 1\.5 \(was"):
        check_same_run(other, path, RESUMABLE_CHANGES)


@pytest.mark.parametrize("path", GMCR_CONFIGS, ids=lambda p: p.name)
def test_shipped_gmcr_configurations_are_upstreams_defaults(path):
    config = parse_gmcr("--config", str(path))
    assert config.method == "upstream"
    assert config.joint == GMCRConfig().joint
    assert config.mixture == MixtureOptions()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"num_candidates": 0}, "--num_candidates 0"),
        ({"num_components": 0}, "--num_components 0"),
        ({"num_components": 3, "num_candidates": 2}, "--num_candidates 2 are fewer"),
        ({"num_components": 3, "method": "upstream"}, "--num_components belongs to"),
        ({"num_components": 3, "library": Path("l.csv")}, "leave --num_components out"),
        ({"num_samples": 2}, "--num_samples 2"),
        ({"num_pixels": 1}, "--num_pixels 1"),
        ({"epochs": 0}, "--epochs 0"),
        ({"truth": Path("t.npz")}, "--truth was given without --data"),
    ],
)
def test_gmcr_values_out_of_range_are_refused(wrong, named):
    with pytest.raises(ValueError, match=named):
        GMCRConfig(**wrong)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_run_of_an_earlier_version_keeps_its_precision(tmp_path, dtype):
    write_config(DGCConfig(), tmp_path / "config.yaml")
    lines = (tmp_path / "config.yaml").read_text().splitlines()
    earlier = [line for line in lines if not line.startswith(("precision", "#"))]
    text = "\n".join(earlier).replace("dtype: null", f"dtype: {dtype}")
    (tmp_path / "config.yaml").write_text(text_with_checksum(text + "\n"))
    config = read_config(DGCConfig, tmp_path / "config.yaml")
    assert config.precision == dtype
    check_same_run(config, tmp_path / "config.yaml", ())
    with pytest.raises(ValueError, match="give --precision alone"):
        parse(
            "--encoder.dtype", dtype, "--precision", {"float32": "bfloat16"}.get(dtype, "float32")
        )
