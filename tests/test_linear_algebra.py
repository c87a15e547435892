import ast
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import jaxhsi
from jaxhsi.linear_algebra import cholesky, inverse, positive_definite_inverses, solve


def definite(seed: int, *shape: int) -> jax.Array:
    """Symmetric matrices of eigenvalues from .1 on."""
    x = np.random.default_rng(seed).normal(size=(*shape, shape[-1]))
    a = x @ np.swapaxes(x, -1, -2) / shape[-1] + 0.1 * np.eye(shape[-1])
    return jnp.asarray(a, jnp.float32)


@pytest.mark.parametrize(("count", "size"), [(1, 1), (1, 3), (700, 12), (5, 70)])
def test_many_inverses_are_those_of_lapack(count, size):
    a = definite(0, count, size)
    inverses = jax.jit(partial(positive_definite_inverses, least_eigenvalue=0.1))(
        jnp.moveaxis(a, 0, -1)
    )
    exact = np.linalg.inv(np.asarray(a, np.float64))
    np.testing.assert_allclose(jnp.moveaxis(inverses, -1, 0), exact, rtol=2e-4, atol=2e-4)


def test_nearly_singular_matrices_are_inverted_about_as_well_as_by_lapack():
    """Two rows that differ by a thousandth, as Gram matrices of similar components have."""
    a = np.eye(6)
    a[0, 1] = a[1, 0] = 1 - 1e-3
    exact = np.linalg.inv(a)
    inverse_of = positive_definite_inverses(jnp.asarray(a, jnp.float32)[..., None], 1e-3)[..., 0]
    np.testing.assert_allclose(inverse_of, exact, rtol=1e-3)


def test_equal_rows_do_not_divide_by_zero():
    """Eight rows of which five are others' copies, as candidates of a table without noise are."""
    rows = np.repeat(np.random.default_rng(0).random((3, 60)), [4, 3, 1], axis=0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    a = jnp.asarray(rows @ rows.T, jnp.float32) + 1e-4 * jnp.eye(8)
    inverses = np.asarray(positive_definite_inverses(a[..., None], 1e-4))[..., 0]
    assert np.isfinite(inverses).all()
    # Copies share what one of them has: the sum is determined, each alone only by the ridge.
    exact = np.linalg.inv(rows @ rows.T + 1e-4 * np.eye(8)) @ rows @ rows[0]
    np.testing.assert_allclose((inverses @ rows @ rows[0])[:4].sum(), exact[:4].sum(), rtol=0.05)


def test_many_inverses_hand_nothing_to_lapack_when_mapped():
    mapped = jax.jit(jax.vmap(partial(positive_definite_inverses, least_eigenvalue=0.1)))
    text = mapped.lower(jnp.ones((2, 12, 12, 4096))).as_text()
    assert "lapack" not in text


@pytest.mark.parametrize("function", [inverse, cholesky])
def test_mapped_matrices_are_taken_one_after_the_other(function):
    a = definite(0, 6, 5)
    mapped = jax.jit(jax.vmap(function))
    np.testing.assert_allclose(mapped(a), np.stack([function(m) for m in a]), rtol=1e-6)
    assert "6x5x5xf32" not in "".join(
        line for line in mapped.lower(a).as_text().splitlines() if "lapack" in line
    )


def test_mapped_systems_are_those_of_lapack():
    a, b = definite(3, 6, 5), definite(4, 6, 5)[..., :3]
    np.testing.assert_allclose(jax.vmap(solve)(a, b), jnp.linalg.solve(a, b), rtol=1e-4, atol=1e-5)


def test_an_inverse_has_the_derivative_of_its_equation():
    a = definite(1, 4)
    check_grads(lambda m: inverse(jnp.asarray(m)), (a,), order=2, modes=("fwd", "rev"), rtol=2e-2)
    mapped = jax.vmap(jax.grad(lambda m: jnp.sum(inverse(m) ** 3)))
    b = definite(2, 3, 4)
    expected = np.stack([jax.grad(lambda m: jnp.sum(jnp.linalg.inv(m) ** 3))(m) for m in b])
    np.testing.assert_allclose(mapped(b), expected, rtol=1e-3)


def test_no_other_module_hands_systems_to_lapack_that_may_be_mapped():
    """`jnp.linalg.solve`, `inv` and `cholesky` are batched where they are mapped; these are not."""
    package = Path(jaxhsi.__file__).parent
    bad = []
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("solve", "inv", "cholesky"):
                source = ast.unparse(node.value)
                if source in ("jnp.linalg", "jax.numpy.linalg", "jax.scipy.linalg", "jax.lax"):
                    bad.append(f"{path.relative_to(package)}:{node.lineno}")
    assert [name.split(":")[0] for name in bad] == ["linear_algebra.py"] * len(bad)
