"""Law: energies move between nodes as Stillmaker and Baas, or C V^2, say."""

import pytest

from pilaster.base.errors import InputError
from pilaster.models.energy.technology import conversion_factor, stillmaker_baas_energy


@pytest.mark.parametrize(
    ("node_nm", "relative"),
    [(130, 2.53), (65, 1), (45, 0.764), (32, 0.484), (16, 0.152), (7, 0.083)],
)
def test_relative_to_65_nm_at_1_v(node_nm, relative):
    factor = conversion_factor("stillmaker-baas", 65, 1.0, node_nm, 1.0)
    assert factor == pytest.approx(relative, rel=5e-3)


def test_value_in_the_authors_corrigendum():
    assert stillmaker_baas_energy(65, 1.3) == pytest.approx(2.604, abs=5e-4)


def test_between_nodes_it_is_linear():
    middle = stillmaker_baas_energy(38.5, 1.0)
    ends = stillmaker_baas_energy(45, 1.0) + stillmaker_baas_energy(32, 1.0)
    assert middle == pytest.approx(ends / 2)


def test_conversion_to_the_same_node_changes_nothing_and_back_undoes():
    assert conversion_factor("stillmaker-baas", 45, 0.9, 45, 0.9) == 1
    there = conversion_factor("stillmaker-baas", 45, 0.9, 130, 1.2)
    assert there * conversion_factor("stillmaker-baas", 130, 1.2, 45, 0.9) == pytest.approx(1)


def test_cv2_is_the_formula_that_cnnergy_uses():
    factor = conversion_factor("cv2", 45, 0.9, 65, 1.0)
    assert factor == pytest.approx((65 / 45) * (1 / 0.9) ** 2)


@pytest.mark.parametrize("node_nm", [5, 180])
def test_node_outside_of_the_publication_is_refused(node_nm):
    with pytest.raises(InputError, match=f"from 7 to 130 nm, not at {node_nm} nm"):
        stillmaker_baas_energy(node_nm, 1.0)


def test_voltage_below_the_fit_is_refused():
    with pytest.raises(InputError, match=r"65 nm holds above 0\.59 V, not at 0\.3 V"):
        stillmaker_baas_energy(65, 0.3)


def test_unknown_conversion_is_a_programming_error():
    with pytest.raises(ValueError, match="unknown conversion"):
        conversion_factor("moore", 65, 1.0, 45, 1.0)
