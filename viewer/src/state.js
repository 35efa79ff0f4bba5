// What is shown, as one plain object that is replaced and never changed.

export const START_ZOOM = 0.85; // the picture's square with air around it; at 1 it fills the canvas's shorter side

export function start(data) {
  return {
    yaw: 0, pitch: 0, zoom: START_ZOOM, panX: 0, panY: 0, // turned by hand; pan in half sides of the picture, y up
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
