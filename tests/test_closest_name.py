"""The name that a user most likely meant: what begins alike comes first."""

from jaxhsi.closest_name import closest_name


def test_closest_names_prefer_what_begins_alike():
    assert (
        closest_name("leaf_Canopy_labels", ["leaf_Canopyx", "leaf_Canopy", "leaf"]) == "leaf_Canopy"
    )
    assert closest_name("plot", ["slot", "plot_12"]) == "plot_12"
    assert closest_name("xyz", ["plot_12"]) is None
