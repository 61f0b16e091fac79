"""Routes and multicast trees of the NoCs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects.chip import Core, load_chip
from runtime.timing.geometry import geometry_of

GEOMETRY = geometry_of(load_chip("n150"))
NOCS = st.integers(0, 1)
NODES = st.integers(0, GEOMETRY.num_nodes - 1)
CORES = st.builds(Core, st.integers(0, 7), st.integers(0, 7))


def walk(noc: int, source: int, target: int) -> list[int]:
    """Nodes on a route, the source left out."""
    nodes = []
    while (link := int(GEOMETRY.route[noc, source, target])) >= 0:
        source = int(GEOMETRY.link_end[link])
        nodes.append(source)
        assert len(nodes) <= GEOMETRY.num_nodes
    return nodes


@given(NOCS, NODES, NODES)
def test_a_route_ends_at_its_target_after_its_hops(noc, source, target):
    nodes = walk(noc, source, target)
    assert ([source, *nodes])[-1] == target
    assert len(nodes) == GEOMETRY.hops(noc, source, target)


@given(NOCS, NODES, NODES)
def test_there_and_back_goes_round_the_torus(noc, source, target):
    hops = GEOMETRY.hops(noc, source, target) + GEOMETRY.hops(noc, target, source)
    (ax, ay), (bx, by) = GEOMETRY.point(source), GEOMETRY.point(target)
    assert hops == 10 * (ax != bx) + 12 * (ay != by)


def test_noc0_turns_from_x_to_y_and_noc1_from_y_to_x():
    source, target = GEOMETRY.worker_node(Core(0, 0)), GEOMETRY.worker_node(Core(1, 1))
    assert [GEOMETRY.point(n) for n in walk(0, source, target)] == [(2, 1), (2, 2)]
    assert [GEOMETRY.point(n) for n in walk(1, target, source)] == [(2, 1), (1, 1)]


@given(NOCS, CORES, st.sets(CORES, min_size=1))
def test_a_tree_reaches_each_receiver_once(noc, sender, receivers):
    receivers = sorted(receivers - {sender})
    if not receivers:
        return
    source = GEOMETRY.worker_node(sender)
    numbers = {GEOMETRY.worker_node(r): i for i, r in enumerate(receivers)}
    rows = GEOMETRY.tree(noc, source, numbers)
    ends = {source}
    for link, _, node in rows:
        assert link // (2 * GEOMETRY.num_nodes) == noc
        assert link // 2 % GEOMETRY.num_nodes in ends
        assert int(GEOMETRY.link_end[link]) == node
        assert node not in ends
        ends.add(node)
    reached = [core for _, core, _ in rows if core >= 0]
    assert sorted(reached) == list(range(len(receivers)))


def test_a_sender_may_receive_its_own_data():
    node = GEOMETRY.worker_node(Core(1, 1))
    other = GEOMETRY.worker_node(Core(2, 1))
    rows = GEOMETRY.tree(0, node, {node: 0, other: 1})
    assert (-1, 0, node) in rows
    assert [core for _, core, _ in rows if core >= 0] == [1, 0]


def test_the_go_signal_travels_on_noc1_from_the_dispatch_tile():
    """Rows above the dispatch tile in turn, and in a row round the torus leftwards."""
    cores = [Core(1, 7), Core(1, 6), Core(0, 7), Core(2, 7)]
    assert GEOMETRY.launch_hops(cores) == [0, 1, 1, 9]


@pytest.mark.parametrize(
    ("last", "span"),
    [(Core(0, 0), 0), (Core(2, 0), 2), (Core(4, 0), 5), (Core(7, 7), 16)],
)
def test_the_span_counts_the_gaps(last, span):
    nodes = [GEOMETRY.worker_node(Core(0, 0)), GEOMETRY.worker_node(last)]
    assert GEOMETRY.span(nodes) == span
