"""metrics.csv as it is written."""

from mtl_sharing.run_folder.metrics import write_metrics


def test_a_row_has_only_the_columns_that_it_has_values_for(tmp_path):
    write_metrics(tmp_path, [{"step": 1, "a": 0.5}, {"step": 2, "b, c": 0.25}])
    text = (tmp_path / "metrics.csv").read_text()
    assert text == 'step,a,"b, c"\n1,0.5,\n2,,0.25\n'
    write_metrics(tmp_path, [])
    assert (tmp_path / "metrics.csv").read_text() == "\n"
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]
