// Fingers, mouse and keys on the picture. Tells what was meant; decides nothing about how it looks.

const KEY_STEP = (5 * Math.PI) / 180;
const LIGHT_STEP = 0.08;

// told: { turn(yaw, pitch), light(x, y), zoom(factor), pan(x, y), reset() }; lightMode() says what a plain drag does.
export function listen(canvas, told, lightMode) {
  const fingers = new Map();
  const side = () => Math.min(canvas.clientWidth, canvas.clientHeight) || 1;

  const spread = () => {
    const [a, b] = [...fingers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, wide: Math.hypot(a.x - b.x, a.y - b.y) || 1 };
  };

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    canvas.classList.add("held");
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const before = fingers.size === 2 ? spread() : null;
    const [x, y] = [event.clientX - last.x, event.clientY - last.y];
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (before) {
      const after = spread();
      told.zoom(after.wide / before.wide);
      told.pan((2 * (after.x - before.x)) / side(), (-2 * (after.y - before.y)) / side());
    } else if (fingers.size === 1) {
      const asLight = lightMode() !== (event.shiftKey || event.buttons === 2);
      if (asLight) told.light((2.2 * x) / side(), (2.2 * y) / side());
      else told.turn((-Math.PI * x) / side(), (Math.PI * y) / side());
    }
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"])
    canvas.addEventListener(name, (event) => {
      fingers.delete(event.pointerId);
      if (!fingers.size) canvas.classList.remove("held");
    });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      told.zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0015)));
    },
    { passive: false },
  );
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (arrow && lightMode() !== event.shiftKey) told.light(arrow[0] * LIGHT_STEP, arrow[1] * LIGHT_STEP);
    else if (arrow) told.turn(-arrow[0] * KEY_STEP, arrow[1] * KEY_STEP);
    else if (event.key === "+" || event.key === "=") told.zoom(1.15);
    else if (event.key === "-") told.zoom(1 / 1.15);
    else if (event.key === "Home" || event.key === "0") told.reset();
    else return;
    event.preventDefault();
  });
}
