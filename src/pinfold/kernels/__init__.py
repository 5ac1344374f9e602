"""The machine room: plain arrays in, plain arrays out; the only room that imports numba."""
