// A light is [ambient, diffuse, dx, dy]; the unit direction toward it is normalise(-dx, -dy, -1) in the axes x right,
// y down, z forward. On the pad it is the place where a ball facing us is brightest: x to the right, y down.

export const MAX_REACH = 0.985; // of the ball's radius: 80 degrees off the line of sight

export function toward([, , dx, dy]) {
  const length = Math.hypot(dx, dy, 1);
  return [-dx / length, -dy / length, -1 / length];
}

export function toPad(light) {
  const [x, y] = toward(light);
  return clampPad(x, y);
}

export function clampPad(x, y) {
  const reach = Math.hypot(x, y);
  const scale = reach > MAX_REACH ? MAX_REACH / reach : 1;
  return { x: x * scale, y: y * scale };
}

export function fromPad(x, y, ambient, diffuse) {
  const pad = clampPad(x, y);
  const depth = Math.sqrt(1 - pad.x * pad.x - pad.y * pad.y);
  return [ambient, diffuse, -pad.x / depth, -pad.y / depth];
}

export function shade(light, normal) {
  const [ambient, diffuse] = light;
  const direction = toward(light);
  const facing = normal[0] * direction[0] + normal[1] * direction[1] + normal[2] * direction[2];
  return ambient + diffuse * Math.max(0, facing);
}

export function inWords(light) {
  const [x, y, z] = toward(light);
  const angle = Math.round((Math.acos(-z) * 180) / Math.PI);
  if (angle < 3) return "light from the front";
  const sides = [y < -0.38 * Math.hypot(x, y) ? "above" : y > 0.38 * Math.hypot(x, y) ? "below" : ""];
  sides.push(x < -0.38 * Math.hypot(x, y) ? "left" : x > 0.38 * Math.hypot(x, y) ? "right" : "");
  return `light from ${sides.filter(Boolean).join(" ")}, ${angle}°`;
}
