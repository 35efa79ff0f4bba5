// The height field as lists of vertices: its triangles, its lines, its points. Pure arrays.

const KEPT = 0.4; // masks below are cut away whole; between here and a half the shader draws the soft rim

// A picture [side, side] read at every vertex of a grid whose corners are the centres of its corner pixels.
export function atVertices(values, side, grid) {
  const out = new Float32Array(grid * grid);
  const ticks = Array.from({ length: grid }, (_, i) => (i / (grid - 1)) * (side - 1));
  for (let v = 0; v < grid; v++) {
    const top = Math.min(Math.floor(ticks[v]), side - 2);
    const down = ticks[v] - top;
    for (let u = 0; u < grid; u++) {
      const left = Math.min(Math.floor(ticks[u]), side - 2);
      const right = ticks[u] - left;
      const at = top * side + left;
      const upper = values[at] * (1 - right) + values[at + 1] * right;
      const lower = values[at + side] * (1 - right) + values[at + side + 1] * right;
      out[v * grid + u] = upper * (1 - down) + lower * down;
    }
  }
  return out;
}

export function positions(depth, grid, fovDeg) {
  const out = new Float32Array(3 * grid * grid);
  const focal = (grid - 1) / 2 / Math.tan((fovDeg * Math.PI) / 360);
  for (let i = 0; i < grid * grid; i++) {
    out[3 * i] = (((i % grid) - (grid - 1) / 2) / focal) * depth[i];
    out[3 * i + 1] = ((Math.floor(i / grid) - (grid - 1) / 2) / focal) * depth[i];
    out[3 * i + 2] = depth[i];
  }
  return out;
}

// The texture's coordinates: a grid's corner vertices lie on the centres of the corner texels.
export function coordinates(grid, side) {
  const out = new Float32Array(2 * grid * grid);
  for (let i = 0; i < grid * grid; i++) {
    out[2 * i] = (((i % grid) / (grid - 1)) * (side - 1) + 0.5) / side;
    out[2 * i + 1] = ((Math.floor(i / grid) / (grid - 1)) * (side - 1) + 0.5) / side;
  }
  return out;
}

// Factor and offset from the coordinates on a texture of one side to those on another: both have the grid's corner
// vertices on the centres of their corner texels.
export function between(side, other) {
  const factor = ((other - 1) / other) * (side / (side - 1));
  return [factor, (0.5 - ((other - 1) * 0.5) / (side - 1)) / other];
}

export function triangles(mask, grid) {
  const out = [];
  for (let v = 0; v + 1 < grid; v++)
    for (let u = 0; u + 1 < grid; u++) {
      const a = v * grid + u;
      const [b, c, d] = [a + 1, a + grid, a + grid + 1];
      if (Math.max(mask[a], mask[b], mask[c], mask[d]) >= KEPT) out.push(a, c, b, b, c, d);
    }
  return new Uint32Array(out);
}

// Every `step`th row and column of the grid as lines between neighbouring vertices.
export function lines(mask, grid, step) {
  const out = [];
  const add = (a, b) => {
    if (Math.max(mask[a], mask[b]) >= KEPT) out.push(a, b);
  };
  for (let i = 0; i < grid; i += step)
    for (let j = 0; j + 1 < grid; j++) {
      add(i * grid + j, i * grid + j + 1);
      add(j * grid + i, (j + 1) * grid + i);
    }
  return new Uint32Array(out);
}

export function points(mask, grid, step) {
  const out = [];
  for (let v = 0; v < grid; v += step)
    for (let u = 0; u < grid; u += step) if (mask[v * grid + u] >= 0.5) out.push(v * grid + u);
  return new Uint32Array(out);
}
