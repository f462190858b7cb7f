"""What the three programs wrote for TensorBoard, as one picture."""

COLORS = {"pytorch": "#d55e00", "tf1": "#0072b2", "tf2": "#009e73"}


def chain(axes, row, name, operations):
    """Draw one program's graph as boxes from left to right."""
    for place, operation in enumerate(operations.split()):
        box = {"boxstyle": "round", "fc": "white", "ec": COLORS[name]}
        axes.annotate(operation, (place, row), ha="center", bbox=box)
        if place:
            arrow = {"arrowstyle": "->", "color": COLORS[name]}
            ends = (place - 0.3, row), (place - 0.7, row)
            axes.annotate("", *ends, arrowprops=arrow)
    axes.annotate(name, (-0.9, row), color=COLORS[name])


def draw(figure, cells):
    """Loss curves above, the graphs below, the summary as the title.

    ``cells`` are those of this lab in a results.json.
    """
    above, below = figure.subplots(2, 1)
    graphs = {}
    for cell in cells:
        name = cell["implementation"]
        if "loss" in cell["curves"]:
            above.plot(cell["curves"]["loss"], color=COLORS[name], alpha=0.6)
            graphs[name] = cell["texts"]["graph_operations"]
            above.set_title(cell["texts"]["summary"], fontsize=9)
    above.set_xlabel("step")
    above.set_ylabel("loss")
    for row, name in enumerate(sorted(graphs, reverse=True)):
        chain(below, row, name, graphs[name])
    below.set_xlim(-1, 2.6)
    below.set_ylim(-0.6, max(len(graphs), 1) - 0.4)
    below.axis("off")
