from ml.plots import new_figure, to_png


def draw(height: float) -> bytes:
    figure, axes = new_figure(3, 2, columns=2)
    for axis in axes:
        axis.plot([0, 1], [0, height])
    return to_png(figure)


def test_the_same_figure_gives_the_same_bytes():
    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_plots_are_png_files():
    assert draw(1).startswith(b"\x89PNG")
