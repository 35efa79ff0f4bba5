// The pictures through the GAN: which two of a row stand on either side of what is shown, and how far between them.

import { toPad } from "./light.js";

// Where a value lies in a row of rising ones: places of two neighbours and the share of the second. Ends hold beyond.
export function between(values, value) {
  const last = values.length - 1;
  if (!(value > values[0]) || last === 0) return { first: 0, second: 0, share: 0 };
  if (value >= values[last]) return { first: last, second: last, share: 0 };
  const second = values.findIndex((one) => one > value);
  const first = second - 1;
  return { first, second, share: (value - values[first]) / (values[second] - values[first]) };
}

// The yaw of the object as it is shown, and what the hand must have turned it by to look so.
export function yawOf(state, view) {
  return state.yaw + view[1] * (1 - state.canonical);
}

export function turnedTo(state, view, yaw) {
  return { ...state, yaw: yaw - view[1] * (1 - state.canonical), pitch: 0, ganRow: "turn" };
}

// The light's angle about the line of sight: 0 from the left, half a turn from the right. From below, the nearer end.
export function around(light) {
  const { x, y } = toPad(light);
  if (Math.hypot(x, y) < 1e-6) return Math.PI / 2;
  const angle = Math.atan2(-y, -x);
  return angle >= 0 ? angle : angle > -Math.PI / 2 ? 0 : Math.PI;
}

export function litFrom(state, gan, angle) {
  const [ambient, diffuse] = state.light;
  return { ...state, light: [ambient, diffuse, gan.reach * Math.cos(angle), gan.reach * Math.sin(angle)], ganRow: "light" };
}

export function clampTo(values, value) {
  return Math.min(values[values.length - 1], Math.max(values[0], value));
}

// What to draw: two places among all tiles, turns before lights, and the share of the second.
export function tiles(state, view, gan) {
  if (state.ganRow === "turn") return between(gan.yaw, yawOf(state, view));
  const found = between(gan.around, around(state.light));
  return { first: found.first + gan.yaw.length, second: found.second + gan.yaw.length, share: found.share };
}

// A tile's column and row.
export function corner(gan, place) {
  return [place % gan.columns, Math.floor(place / gan.columns)];
}
