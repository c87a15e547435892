"""Forward models: linear mixing, saturation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxhsi.gmcr import mixing

C = jnp.array([[1.0, 2.0], [0.5, 0.0]])
S = jnp.array([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]])


def test_linear_by_hand():
    assert mixing.linear(C, S).tolist() == [[1, 2, 4], [0.5, 0, 1]]
    own = jnp.stack([S, 2 * S])
    assert mixing.linear(C, own).tolist() == [[1, 2, 4], [1, 0, 2]]


def test_saturation_is_linear_for_little_light_absorbed_and_bounded_for_much():
    model = mixing.fixed_stray_light(0.01)
    weak = 1e-3 * C
    # First order: a share 1 / (1 + s) of the absorbance.
    np.testing.assert_allclose(model(weak, S), weak @ S / 1.01, rtol=1e-2, atol=1e-7)
    assert model(100 * C, S).max() == pytest.approx(np.log10(101), rel=1e-5)
    assert model(C, S)[0, 0] == pytest.approx(np.log10(1.01 / 0.11), rel=1e-5)  # A = 1
    assert model(0 * C, S) == pytest.approx(0, abs=1e-6)


def test_saturation_has_a_gradient():
    model = jax.jit(mixing.fixed_stray_light(0.05))
    check_grads(
        lambda c: model(jnp.asarray(c), S), (C,), 1, ["rev"], eps=1e-2, rtol=1e-2, atol=1e-2
    )


def test_no_stray_light_is_linear_mixing():
    with pytest.raises(ValueError, match=r"stray_share 0.*linear"):
        mixing.fixed_stray_light(0.0)


def test_models_that_are_not_linear_by_hand():
    """u_1 = (1, 0, 2), u_2 = (0, 2, 2) in the first spectrum, whose sum is (1, 2, 4)."""
    assert mixing.bilinear_mixing(0.5, C, S)[0].tolist() == [1, 2, 6]
    g = jnp.zeros((2, 2, 2)).at[0, 0, 1].set(0.25).at[0, 1, 0].set(9.0)
    generalised = mixing.generalised_bilinear()
    np.testing.assert_allclose(generalised.mix(g, C, S), [[1, 2, 5], [0.5, 0, 1]])
    cubic = mixing.polynomial(3).mix(jnp.array([1.0, 0.5]), C, S)
    np.testing.assert_allclose(cubic[0], [2.5, 10, 52])
    np.testing.assert_allclose(
        mixing.saturated_mixing(2.0, C, S)[0, 0], (1 - np.exp(-2)) / 2, rtol=1e-6
    )
    small = mixing.saturated_mixing(jnp.array(1e-5), C, S)
    np.testing.assert_allclose(small, C @ S - 0.5e-5 * (C @ S) ** 2, rtol=1e-6)
    stray = mixing.stray_light()
    np.testing.assert_allclose(
        stray.mix(jnp.array(0.01), C, S), mixing.fixed_stray_light(0.01)(C, S), rtol=1e-6
    )
    with pytest.raises(ValueError, match="degree 1 is linear"):
        mixing.polynomial(1)


@pytest.mark.parametrize("name", mixing.FORWARD_MODELS)
def test_models_begin_all_but_linear_and_keep_their_range(name):
    model = mixing.FORWARD_MODELS[name]()
    begin = model.initial_parameters(2, 2)
    np.testing.assert_allclose(model.mix(begin, 0.1 * C, S), 0.1 * C @ S, rtol=0.01, atol=1e-8)
    far = model.project_parameters(jax.tree.map(lambda b: b - 1e6, begin))
    assert jnp.isfinite(model.mix(far, 0.01 * C, S)).all()
    grad = jax.grad(lambda p: model.mix(p, C, S).sum())(begin)
    assert np.abs(grad).max() > 0


def test_other_units_of_the_data_change_nothing():
    model = mixing.bilinear()
    same = mixing.rescale_model(model, 4.0).mix(0.5, C / 4, S) * 4
    np.testing.assert_allclose(same, model.mix(0.5, C, S), rtol=1e-6)
    np.testing.assert_allclose(
        mixing.nonlinear_part(model, 0.5, C, S), [[0, 0, 2], [0, 0, 0]], atol=1e-6
    )
    plain = mixing.parameter_free(mixing.linear)
    np.testing.assert_allclose(plain.mix((), C, S), C @ S)
