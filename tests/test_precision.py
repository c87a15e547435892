"""What is computed in bfloat16, and what is float32 whatever is chosen."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from jaxhsi.config.dgc import DGCConfig
from jaxhsi.config.files import read_config, write_config
from jaxhsi.config.gmcr import GMCRConfig
from jaxhsi.gmcr.options import AmortisedOptions
from jaxhsi.precision import default_precision
from jaxhsi.workflows.dgc_method import build_method
from jaxhsi.workflows.run_precision import with_precision
from tests.helpers.dgc_method import batch, first_state, method

PRODUCTS = ("dot_general", "conv_general_dilated")
SUMS = ("reduce_sum", "cumsum", "exp", "log", "sqrt", "rsqrt", "div")


@pytest.fixture
def accelerator(monkeypatch) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def equations(jaxpr) -> Iterator:
    """Of a traced function and of all that it calls."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from equations(inner)


def traced(function, *arguments) -> list:
    return list(equations(jax.make_jaxpr(function)(*arguments).jaxpr))


def test_accelerators_multiply_in_bfloat16(accelerator):
    assert default_precision() == "bfloat16"


def test_cpus_multiply_in_float32():
    assert default_precision() == "float32"


@pytest.mark.parametrize("config_class", [DGCConfig, GMCRConfig])
def test_the_configuration_of_a_run_holds_the_precision_of_its_device(
    config_class, accelerator, tmp_path
):
    write_config(with_precision(config_class()), tmp_path / "config.yaml")
    assert read_config(config_class, tmp_path / "config.yaml").precision == "bfloat16"
    assert with_precision(config_class(precision="float32")).precision == "float32"
    assert with_precision(config_class(method="upstream")).precision == "float32"


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_float32_products_of_dgc_are_not_rounded_on_accelerators(dtype, accelerator):
    dgc = method(dtype=dtype)
    products = [
        equation
        for equation in traced(dgc.step, jax.random.key(0), first_state(dgc), batch(0))
        if equation.primitive.name in PRODUCTS
    ]
    highest = (jax.lax.Precision.HIGHEST, jax.lax.Precision.HIGHEST)
    exact = [e for e in products if e.invars[0].aval.dtype == jnp.float32]
    assert exact
    assert all(equation.params["precision"] == highest for equation in exact)
    assert any(e.invars[0].aval.dtype == jnp.bfloat16 for e in products) == (dtype == jnp.bfloat16)


def test_sums_roots_and_exponentials_of_a_step_are_float32():
    dgc = method(dtype=jnp.bfloat16)
    steps = traced(dgc.step, jax.random.key(0), first_state(dgc), batch(0))
    rounded = {
        equation.primitive.name
        for equation in steps
        for operand in equation.invars
        if getattr(operand.aval, "dtype", None) == jnp.bfloat16
    }
    assert set(PRODUCTS) <= rounded
    assert not rounded & set(SUMS)


def test_the_encoder_of_a_configuration_multiplies_in_its_precision():
    cube = jnp.ones((1, 12, 12, 5)), jnp.ones((1, 12, 12), bool)
    for precision, expected in (("float32", False), ("bfloat16", True), (None, False)):
        dgc = build_method(DGCConfig(num_clusters=2, precision=precision), 5)
        sample = jax.ShapeDtypeStruct((9, 5), jnp.float32)
        state = jax.eval_shape(dgc.init, jax.random.key(0), sample)
        dtypes = {
            equation.invars[0].aval.dtype
            for equation in traced(dgc.predict, state, *cube)
            if equation.primitive.name in PRODUCTS
        }
        assert (jnp.dtype("bfloat16") in dtypes) == expected


def test_the_type_of_products_is_no_option_of_its_own():
    options = AmortisedOptions(product_dtype="bfloat16")
    with pytest.raises(ValueError, match="give --precision bfloat16"):
        GMCRConfig(amortised=options)


def test_labels_hardly_depend_on_the_precision():
    x, valid = batch(1).window, batch(1).valid
    labels = []
    for dtype in (jnp.float32, jnp.bfloat16):
        dgc = method(dtype=dtype)
        step = jax.jit(dgc.step)
        state = first_state(dgc)
        for number in range(10):
            state, _ = step(jax.random.key(number), state, batch(number))
        labels.append(np.asarray(jax.jit(dgc.predict)(state, x, valid)[0]))
    assert (labels[0] == labels[1]).mean() > 0.99
