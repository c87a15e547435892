import pytest

from jaxhsi.data.labels.clicks import read_clicks


def test_lines_with_and_without_a_header(tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text("a,1,2,leaf\n\n b , 0 ,7, old leaf \n")
    found = read_clicks(path)
    assert [click[1:] for click in found] == [("a", 1, 2, "leaf"), ("b", 0, 7, "old leaf")]
    assert found[1].file_line.endswith("clicks.csv: line 3")
    path.write_text("\ufeffCube,Row,Column,Name\r\na,1,2,leaf\r\n")
    assert [click[1:] for click in read_clicks(path)] == [("a", 1, 2, "leaf")]


@pytest.mark.parametrize(
    "text", ["a,1,2\n", "a,-1,2,leaf\n", "a,1.5,2,leaf\n", "a,1,2,\n", "a,1,2,leaf,x\n"]
)
def test_lines_of_another_form_are_named(tmp_path, text):
    path = tmp_path / "clicks.csv"
    path.write_text("a,1,2,leaf\n" + text)
    with pytest.raises(ValueError, match=r"clicks\.csv: line 2 is .* cube,row,column,name"):
        read_clicks(path)


def test_files_without_clicks_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file of clicks at"):
        read_clicks(tmp_path / "none.csv")
    path = tmp_path / "clicks.csv"
    path.write_text("cube,row,column,name\n")
    with pytest.raises(ValueError, match="holds no line"):
        read_clicks(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="cannot be read as CSV"):
        read_clicks(path)
