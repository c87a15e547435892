import numpy as np

from jaxhsi.report.dgc_tables import share_table


def titles(table) -> list[str]:
    return [str(column.header) for column in table.columns]


def test_clusters_without_classes_have_no_column_for_them():
    pixels = np.array([3, 1])
    assert titles(share_table(pixels, ["", ""])) == ["cluster", "pixels", "share"]
    named = share_table(pixels, ["leaf", ""])
    assert titles(named) == ["cluster", "is", "pixels", "share"]
    assert list(named.columns[1].cells) == ["leaf", ""]
    assert list(named.columns[3].cells) == ["75.00%", "25.00%"]
