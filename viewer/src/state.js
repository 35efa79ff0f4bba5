// What is shown, as one plain object that is replaced and never changed.

export function start(data) {
  return {
    yaw: 0, pitch: 0, zoom: 1, panX: 0, panY: 0, // turned by hand; pan in half sides of the picture, y up
    canonical: 0, // 0: the photo's pose, 1: the object's own
    light: [...data.light],
    colour: "lit",
    form: "surface",
    ganRow: "turn", // of the GAN's pictures the turned or the relit ones: whatever was moved last
  };
}

export const ZOOM = { least: 0.5, most: 8 };

export function zoomed(state, factor) {
  return { ...state, zoom: Math.min(ZOOM.most, Math.max(ZOOM.least, state.zoom * factor)) };
}
