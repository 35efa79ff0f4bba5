import { bytes, decode } from "./data.js";
import { around, clampTo, litFrom, turnedTo, yawOf } from "./gan.js";
import { listen } from "./gestures.js";
import { fromPad, inWords, toPad } from "./light.js";
import { Pad } from "./pad.js";
import { turned } from "./pose.js";
import { save, stem } from "./save.js";
import { Stage } from "./stage.js";
import { start, zoomed } from "./state.js";

const SAVED_PX = 1024;
const raw = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const canvas = at("object");
let state = start(raw);
let stage = null;
let pad = null;
let waiting = false;

function change(changes) {
  state = { ...state, ...changes };
  show();
}

function show() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
  });
}

function ground() {
  const [red, green, blue] = getComputedStyle(canvas).backgroundColor.match(/[\d.]+/g).map(Number);
  return [red / 255, green / 255, blue / 255];
}

function draw() {
  const scale = Math.min(window.devicePixelRatio || 1, 2);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((side) => Math.max(1, Math.round(side * scale)));
  stage.draw(state, ground(), width, height);
  tell();
}

// The controls and the words follow the state, whatever moved it.
function tell() {
  const degrees = (value) => Math.round((value * 180) / Math.PI);
  at("ambient").value = String(state.light[0]);
  at("diffuse").value = String(state.light[1]);
  at("canonical").value = String(state.canonical);
  at("ambient-value").textContent = state.light[0].toFixed(2);
  at("diffuse-value").textContent = state.light[1].toFixed(2);
  at("canonical-value").textContent =
    state.canonical === 0 ? "photo" : state.canonical === 1 ? "frontal" : `${Math.round(100 * state.canonical)} %`;
  pad.draw(state.light);
  const flat = state.colour === "gan";
  for (const part of document.querySelectorAll(".of-object")) part.disabled = flat;
  at("gan-controls").hidden = !flat;
  if (flat) {
    tellGan(degrees);
    return;
  }
  const sideways = -degrees(state.yaw);
  const turn = [
    sideways ? `turned ${Math.abs(sideways)}° ${sideways > 0 ? "right" : "left"}` : "",
    degrees(state.pitch) ? `tilted ${Math.abs(degrees(state.pitch))}° ${state.pitch > 0 ? "down" : "up"}` : "",
  ].filter(Boolean);
  at("status").textContent = `${turn.join(", ") || "not turned"} · ${inWords(state.light)}`;
}

// What does not move in the row of the GAN's pictures is as in the photo.
function ganYaw() {
  return state.ganRow === "turn" ? yawOf(state, raw.view) : raw.view[1];
}

function ganLight() {
  return state.ganRow === "light" ? state.light : raw.light;
}

// Of the GAN's pictures there are two rows: turned in the photo's light, relit in the photo's pose.
function tellGan(degrees) {
  const turns = state.ganRow === "turn";
  const yaw = clampTo(raw.gan.yaw, ganYaw());
  const angle = clampTo(raw.gan.around, around(ganLight()));
  const side = -degrees(yaw);
  const turn = side ? `${Math.abs(side)}° ${side > 0 ? "right" : "left"}` : "frontal";
  const lamp = inWords(litFrom(state, raw.gan, angle).light).replace("light ", "").replace(/,.*/, "");
  for (const [id, value, words, used] of [["gan-turn", -yaw, turn, turns], ["gan-light", angle, lamp, !turns]]) {
    at(id).value = String(value);
    at(id).setAttribute("aria-valuetext", used ? words : `${words}, as in the photo`);
    at(`${id}-value`).textContent = used ? words : "as in the photo";
  }
  at("status").textContent = turns
    ? `through the GAN: ${turn === "frontal" ? turn : `turned ${turn}`}, in the photo's light`
    : `through the GAN: light ${lamp}, in the photo's pose`;
}

function moveLight(x, y) {
  change({ light: fromPad(x, y, state.light[0], state.light[1]), ganRow: "light" });
}

function turn(yaw, pitch) {
  if (state.colour === "gan") change(turnedTo(state, raw.view, clampTo(raw.gan.yaw, ganYaw() + yaw)));
  else change({ ...turned(state, yaw, pitch), ganRow: "turn" });
}

function reset() {
  change({ ...start(raw), colour: state.colour, form: state.form });
}

function wire() {
  const gestures = {
    turn,
    light: (x, y) => {
      const now = toPad(state.colour === "gan" ? ganLight() : state.light);
      moveLight(now.x + x, now.y + y);
    },
    zoom: (factor) => change(zoomed(state, factor)),
    pan: (x, y) => change({ panX: state.panX + x, panY: state.panY + y }),
    reset,
  };
  listen(canvas, gestures, () => at("drag-light").checked);
  pad = new Pad(at("pad"), moveLight);
  for (const [index, id] of ["ambient", "diffuse"].entries())
    at(id).addEventListener("input", (event) => {
      const light = [...state.light];
      light[index] = Number(event.target.value);
      change({ light });
    });
  at("canonical").addEventListener("input", (event) => change({ canonical: Number(event.target.value) }));
  for (const name of ["colour", "form"])
    for (const choice of document.querySelectorAll(`input[name=${name}]`)) {
      choice.checked = choice.value === state[name];
      choice.addEventListener("change", () => change({ [name]: choice.value }));
    }
  if (raw.gan) {
    at("gan-choice").hidden = false;
    const [yaw, angle] = [raw.gan.yaw, raw.gan.around].map((row) => [row[0], row[row.length - 1]]);
    Object.assign(at("gan-turn"), { min: String(-yaw[1]), max: String(-yaw[0]) }); // to the right is a falling yaw
    Object.assign(at("gan-light"), { min: String(angle[0]), max: String(angle[1]) });
    at("gan-turn").addEventListener("input", (event) => change(turnedTo(state, raw.view, -Number(event.target.value))));
    at("gan-light").addEventListener("input", (event) => change(litFrom(state, raw.gan, Number(event.target.value))));
  }
  at("drag-turn").checked = true;
  at("reset").addEventListener("click", reset);
  at("picture").addEventListener("click", () => {
    stage.draw(state, ground(), SAVED_PX, SAVED_PX);
    canvas.toBlob((blob) => save(blob, `${stem(raw.name)}_view.png`)); // before the browser clears the canvas
    show();
  });
  at("glb").addEventListener("click", () =>
    save(new Blob([bytes(raw.glb)], { type: "model/gltf-binary" }), `${stem(raw.name)}.glb`),
  );
  new ResizeObserver(show).observe(canvas);
  for (const query of ["(prefers-color-scheme: dark)", "(resolution: 1dppx)"])
    matchMedia(query).addEventListener("change", show);
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", show);
}

function listFacts() {
  for (const [title, value] of Object.entries(raw.facts)) {
    const row = document.createElement("div");
    for (const [kind, text] of [["dt", title], ["dd", value]]) {
      const cell = document.createElement(kind);
      cell.textContent = text;
      row.append(cell);
    }
    at("facts").append(row);
  }
}

async function jpeg(content) {
  const image = new Image();
  image.src = `data:image/jpeg;base64,${content}`;
  await image.decode();
  return image;
}

async function run() {
  listFacts();
  const photo = at("photo");
  photo.src = `data:image/png;base64,${raw.photo}`;
  await photo.decode();
  if (!document.createElement("canvas").getContext("webgl2")) {
    at("trouble").hidden = false;
    return;
  }
  const pictures = raw.gan ? await jpeg(raw.gan.pictures) : null;
  const fine = raw.fine ? await jpeg(raw.fine) : null;
  stage = new Stage(canvas, decode(raw), photo, pictures, fine);
  wire();
  draw();
  performance.mark("first-picture");
  document.documentElement.dataset.ready = "yes";
}

run();
