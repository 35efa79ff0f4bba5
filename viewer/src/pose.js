// Rigid motion in the program's axes: x right, y down, z forward, about the pivot (0, 0, 1). Matrices are 16 numbers,
// row by row. A view is [rx, ry, rz, tx, ty, tz], radians and scene units; the rotation is Rz Ry Rx.

export const PIVOT_DEPTH = 1;

export function rotation([rx, ry, rz]) {
  const [cx, cy, cz] = [rx, ry, rz].map(Math.cos);
  const [sx, sy, sz] = [rx, ry, rz].map(Math.sin);
  return [
    [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
    [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
    [-sy, cy * sx, cy * cx],
  ];
}

// p -> R (p - pivot) + pivot + t
export function motion(view) {
  const r = rotation(view);
  const shift = r.map((row, i) => view[3 + i] + (i === 2 ? PIVOT_DEPTH : 0) - row[2] * PIVOT_DEPTH);
  return [...r[0], shift[0], ...r[1], shift[1], ...r[2], shift[2], 0, 0, 0, 1];
}

export function multiply(a, b) {
  const out = new Array(16).fill(0);
  for (let i = 0; i < 4; i++)
    for (let j = 0; j < 4; j++)
      for (let k = 0; k < 4; k++) out[4 * i + j] += a[4 * i + k] * b[4 * k + j];
  return out;
}

// The object as it is shown: from the photo's pose (canonical = 0) to its own frontal one (canonical = 1), then turned
// by hand, first about its own upright axis, then about the picture's horizontal one.
export function shownMotion(view, { canonical, yaw, pitch }) {
  const posed = motion(view.map((value) => value * (1 - canonical)));
  return multiply(motion([pitch, 0, 0, 0, 0, 0]), multiply(motion([0, yaw, 0, 0, 0, 0]), posed));
}

export const MAX_PITCH = (85 * Math.PI) / 180;

export function turned(state, yaw, pitch) {
  const full = 2 * Math.PI;
  let around = (state.yaw + yaw) % full;
  if (around > Math.PI) around -= full;
  if (around < -Math.PI) around += full;
  return { ...state, yaw: around, pitch: Math.min(MAX_PITCH, Math.max(-MAX_PITCH, state.pitch + pitch)) };
}

// What the camera's matrix scales x / z and y / z by: the picture's outermost pixel centres lie at half the opening
// angle, and the picture ends half a pixel beyond them.
export function pictureScale(size, fovDeg) {
  return (size - 1) / size / Math.tan((fovDeg * Math.PI) / 360);
}
