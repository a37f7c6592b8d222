"""Heat in a rod: define it, solve it, look at it, take it elsewhere.

The temperature of a rod starts as a long wave plus a short one, and its ends are kept at zero. The short wave dies
first: that is what the picture shows. Run it from anywhere, ``python tutorials/01_define_solve_look_export.py``.
It writes heat.h5 and heat.png into the current folder.
"""

import importlib.util

import pdeml as pm

# 1. Define. An equation reads as on paper: u_t and u_xx are derivatives, alpha is a parameter.
#    Coordinates are intervals; one of them is time. Units are optional, and follow the numbers into files and pictures.
heat = pm.Problem(
    name="heat",
    coordinates={"x": {"range": (0, 1), "unit": "m"}, "t": {"range": (0, 1), "unit": "s"}},
    time="t",
    unknowns={"u": {"unit": "K"}},
    parameters={"alpha": 0.1},
    equations="u_t = alpha*u_xx",
    conditions=[
        pm.Initial(u="sin(pi*x) + sin(3*pi*x)/2"),
        pm.Dirichlet(u=0),
    ],
)

# The problem tells what it understood: orders, kind, and whether the conditions are as many as the orders ask for.
print(heat.summary(), end="\n\n")

# 2. Solve. "pinn" is a small network trained on the residual of the equation. The initial and boundary values need no
#    training: here they hold by construction. Every option has a default; the tolerance ends the training early.
solution = pm.solve(heat, "pinn", tolerance=1e-4)

# The report measures the residual at points that training never saw.
print(solution.report(), end="\n\n")

# 3. Look. A field is the solution at points: named dimensions, coordinates, units.
field = solution.on_grid(x=65, t=65)
print(field)

# This problem has an exact solution, so the true error can be had as well. The formula is read by the same parser as
# the equations; parameters come from the problem.
exact = pm.Field.from_expression(
    {"u": "exp(-alpha*pi**2*t)*sin(pi*x) + exp(-9*alpha*pi**2*t)*sin(3*pi*x)/2"},
    like=field,
    parameters=heat.parameters,
)
error = field.error(exact)["u"]
print(f"relative L2 error {error.relative_l2:.1e}, largest {error.max:.1e} K, relative H1 {error.h1:.1e}")

# With the exact values beside it, the field draws solution, reference and error.
field = field.with_reference(exact)
field.plot("heat.png")

# 4. Take it elsewhere. The file is netCDF-4: xarray, and whatever else reads that, opens it; pdeml reads it back.
field.to_hdf5("heat.h5")
assert pm.Field.from_hdf5("heat.h5").equals(field)

if importlib.util.find_spec("xarray") and importlib.util.find_spec("h5netcdf"):
    import xarray

    with xarray.open_dataset("heat.h5", engine="h5netcdf") as dataset:
        middle = dataset.u.sel(x=0.5).isel(t=[0, 16, 64]).values
    print("temperature in the middle at t = 0, 1/4 and 1:", ", ".join(f"{value:.3f} K" for value in middle))

# The same problem as YAML, to keep, to share, and for the command line: `pdeml train heat.yaml`.
print("\n" + heat.to_yaml(), end="")
