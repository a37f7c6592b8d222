"""Triangulations: they cover the geometry, meet its boundary piece by piece, and are good and reproducible."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdeml.errors import InputError, RunError
from pdeml.geometry import Box, Difference, Disk, Geometry, Interval, Polygon, Rectangle
from pdeml.reference.mesh import Triangulation, grid_triangulation, mesh_of, triangulation_of

SQUARE = Rectangle(x=(-0.5, 0.5), y=(-0.5, 0.5))
HOLES = SQUARE
for _k, _center in enumerate(((0.3, 0.3), (-0.3, 0.3), (0.3, -0.3), (-0.3, -0.3))):
    HOLES = Difference(HOLES, Disk(center=_center, radius=0.1, name=f"hole{_k}"))
ELL = Polygon([[-1, -1], [0, -1], [0, 0], [1, 0], [1, 1], [-1, 1]])
GEOMETRIES = {
    "rectangle": Rectangle(x=(0, 2), y=(0, 1)),
    "disk": Disk(center=(0.3, -1), radius=2),
    "ell": ELL,
    "square with four holes": HOLES,
    "channel with cylinder": Rectangle(x=(0, 2.2), y=(0, 0.41)) - Disk(center=(0.2, 0.2), radius=0.05, name="cylinder"),
    "two disks that overlap": Disk(center=(0, 0), radius=1) + Disk(center=(1.2, 0), radius=0.7, name="small"),
    "two disks apart": Disk(center=(0, 0), radius=1) + Disk(center=(3, 0), radius=0.7, name="small"),
    "quarter of a disk": Disk(center=(0, 0), radius=1) & Rectangle(x=(0, 2), y=(0, 2)),
    "boxes with a seam": Rectangle(x=(0, 1), y=(0, 1))
    + Rectangle(x=(1, 2), y=(0, 0.5), edges={side: f"{side}_2" for side in ("left", "right", "bottom", "top")}),
    "acute triangle": Polygon([[0, 0], [1, 0], [1, 0.3]]),
}


def extent(geometry: Geometry) -> float:
    return float((geometry.bounds[:, 1] - geometry.bounds[:, 0]).max())


@pytest.fixture(params=["distance", "gmsh"])
def mesher(request: pytest.FixtureRequest) -> str:
    if request.param == "gmsh":
        pytest.importorskip("gmsh", exc_type=ImportError)
    return request.param


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_mesh_is_conforming_and_its_rim_is_the_boundary(geometry: Geometry, mesher: str):
    mesh = triangulation_of(geometry, extent(geometry) / 20, mesher)
    assert mesh.areas.min() > 0
    sides = np.concatenate([mesh.triangles[:, [k, (k + 1) % 3]] for k in range(3)])
    assert len(np.unique(sides, axis=0)) == len(sides)  # every directed side belongs to one triangle
    twins = {tuple(side) for side in sides[:, ::-1].tolist()}
    rim = {tuple(side) for side in sides.tolist()} - twins
    assert rim == {tuple(edge) for edge in mesh.edges.tolist()}
    assert set(mesh.triangles.ravel().tolist()) == set(range(len(mesh.points)))


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_edges_lie_on_their_piece_with_the_domain_to_the_left(geometry: Geometry, mesher: str):
    mesh = triangulation_of(geometry, extent(geometry) / 20, mesher)
    assert mesh.pieces == tuple(geometry.pieces)
    for number, (name, piece) in enumerate(geometry.pieces.items()):
        own = mesh.owners == number
        assert own.any(), name
        on_piece = piece.place(np.linspace(0, 1, 20001)[:, None])[0]
        for points in (mesh.points[mesh.edges[own]].reshape(-1, 2), mesh.middles[own]):
            gap = np.abs(geometry.signed_distance(points)).max()
            assert gap < 1e-9 * geometry.size
            nearest = np.linalg.norm(points[:, None] - on_piece, axis=2).min(axis=1)
            assert nearest.max() < 1e-3 * geometry.size
    along = mesh.points[mesh.edges[:, 1]] - mesh.points[mesh.edges[:, 0]]
    left = np.stack([-along[:, 1], along[:, 0]], axis=1)
    assert geometry.contains(mesh.points[mesh.edges].mean(axis=1) + 0.1 * left).all()


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_only_what_lies_between_arcs_and_edges_is_missing(geometry: Geometry):
    mesh = triangulation_of(geometry, extent(geometry) / 40)
    start, end = mesh.points[mesh.edges.T]
    outward = np.stack([(end - start)[:, 1], -(end - start)[:, 0]], axis=1)
    segments = 2 / 3 * (outward * (mesh.middles - (start + end) / 2)).sum()  # 2/3 of length times height: a parabola
    assert mesh.areas.sum() + segments == pytest.approx(geometry.measure, rel=2e-5)


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_angles_are_good_unless_a_corner_is_sharp(geometry: Geometry, mesher: str):
    mesh = triangulation_of(geometry, extent(geometry) / 40, mesher)
    if geometry is not GEOMETRIES["acute triangle"]:
        assert mesh.angles.min() > 28
        assert np.percentile(mesh.angles.min(axis=1), 5) > 40
    assert mesh.angles.sum(axis=1) == pytest.approx(180)
    assert mesh.angles.min() > 15  # the sharpest corner has 16.7 degrees


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_sides_are_as_long_as_wanted(geometry: Geometry):
    size = extent(geometry) / 50
    lengths = triangulation_of(geometry, size).lengths
    assert lengths.max() < 1.7 * size
    assert np.median(lengths) < 1.2 * size


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_same_call_gives_the_same_mesh(geometry: Geometry, mesher: str):
    first, second = (triangulation_of(geometry, extent(geometry) / 15, mesher) for _ in range(2))
    for name in ("points", "triangles", "edges", "middles", "owners"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@settings(max_examples=15)
@given(
    st.floats(0.05, 0.3),
    st.tuples(st.floats(-0.15, 0.15), st.floats(-0.15, 0.15)),
    st.floats(0.02, 0.2),
)
def test_any_hole_is_meshed(radius: float, center: tuple[float, float], size: float):
    geometry = SQUARE - Disk(center=center, radius=radius, name="hole")
    mesh = triangulation_of(geometry, size)
    assert mesh.areas.min() > 0
    assert mesh.angles.min() > 10
    holes = mesh.points[mesh.edges[mesh.owners == mesh.pieces.index("hole")]].reshape(-1, 2)
    assert np.linalg.norm(holes - center, axis=1) == pytest.approx(radius, abs=1e-12)
    lost = 0.5 * len(mesh.edges[mesh.owners == 4]) * radius**2 * np.sin(2 * np.pi / (mesh.owners == 4).sum())
    assert mesh.areas.sum() == pytest.approx(1 - lost, rel=1e-10)


def test_narrow_gap_gets_small_triangles():
    near = Rectangle(x=(0, 1), y=(0, 1)) - Disk(center=(0.5, 0.5), radius=0.49, name="hole")
    mesh = triangulation_of(near, 1 / 40)
    centers = mesh.points[mesh.triangles].mean(axis=1)
    narrow = np.abs(centers - [0.995, 0.5]).max(axis=1) < 0.02
    assert mesh.lengths[narrow].max() < 3 * 0.01
    assert mesh.angles.min() > 15


@pytest.mark.parametrize("gap", [1e-8, 1e-4])
def test_gap_far_below_the_size_is_refused(gap: float):
    nearly = Disk(center=(0, 0), radius=1) - Disk(center=(0.5, 0), radius=0.5 - gap, name="hole")
    with pytest.raises(RunError, match="smaller grid step"):
        triangulation_of(nearly, 0.1, "distance")


def test_grid_triangulation_cuts_every_cell_alike():
    box = Box(x=(0, 3), y=(1, 2), edges={"left": "inlet"})
    mesh = grid_triangulation(box, (4, 6))
    assert mesh.pieces == ("inlet", "right", "bottom", "top")
    np.testing.assert_array_equal(mesh.points[1 * 6 + 2], [1.0, 1.4])
    assert mesh.areas == pytest.approx(np.full(30, 0.1))
    assert [int((mesh.owners == k).sum()) for k in range(4)] == [5, 5, 3, 3]


@pytest.mark.parametrize("geometry", [GEOMETRIES["rectangle"], HOLES], ids=["rectangle", "holes"])
def test_for_scikit_fem_boundaries_have_the_names_of_the_pieces(geometry: Geometry):
    pytest.importorskip("skfem")
    mesh = mesh_of(geometry, 0.05)
    assert set(mesh.boundaries) == set(geometry.pieces)
    for name, facets in mesh.boundaries.items():
        ends = mesh.p[:, mesh.facets[:, facets]]
        length = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=0).sum()
        assert length == pytest.approx(geometry.pieces[name].measure, rel=1e-2)
    assert sum(map(len, mesh.boundaries.values())) == len(mesh.boundary_facets())


@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_no_triangle_of_a_flow_mesh_has_two_edges_on_the_boundary(geometry: Geometry):
    before = triangulation_of(geometry, extent(geometry) / 25)
    after = before.without_corner_triangles()
    assert after.areas.min() > 0
    assert after.areas.sum() == pytest.approx(before.areas.sum())
    if geometry is GEOMETRIES["acute triangle"]:
        return  # its corners are too sharp to be shared by two triangles
    assert _edges_on_boundary(after).max() == 1


def _edges_on_boundary(mesh: Triangulation) -> np.ndarray:
    edges = {frozenset(edge) for edge in mesh.edges.tolist()}
    return np.array([sum(frozenset((t[k], t[k - 1])) in edges for k in range(3)) for t in mesh.triangles.tolist()])


@pytest.mark.parametrize(
    "arguments, said",
    [
        ((Interval(x=(0, 1)), 0.1), "1 dimension"),
        ((ELL, 0.0), "positive"),
        ((ELL, np.nan), "positive"),
        ((ELL, 0.1, "gmhs"), "did you mean 'gmsh'"),
    ],
)
def test_wrong_arguments_are_refused(arguments: tuple, said: str):
    with pytest.raises(InputError, match=said):
        triangulation_of(*arguments)


def test_without_scikit_fem_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "skfem", None)
    with pytest.raises(InputError, match=r"pip install 'pdeml\[fem\]'"):
        mesh_of(ELL, 0.2)


def test_without_gmsh_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "gmsh", None)
    with pytest.raises(InputError, match=r"pip install 'pdeml\[gmsh\]'"):
        triangulation_of(ELL, 0.2, "gmsh")


def test_gmsh_leaves_broken_pipes_to_python():
    pytest.importorskip("gmsh", exc_type=ImportError)
    triangulation_of(ELL, 0.3, "gmsh")
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        os.write(writer, b"x")
    os.close(writer)


@pytest.mark.parametrize("divisions", range(6, 40, 3))
def test_points_in_a_row_make_no_flat_triangles(divisions: int):
    shape = Polygon([[0, 0], [0.5, 0], [1, 0], [1, 0.8], [0.4, 1.1], [0, 0.7]]) - Disk(
        center=(0.5, 0.4), radius=0.2, name="hole"
    )
    assert triangulation_of(shape, 1.0 / divisions, "distance").angles.min() > 15
