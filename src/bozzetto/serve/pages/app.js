// The page: what is on it follows the server's events, and every button is one request.

import { Curve } from "./curve.js";
import { ask, byId, bytes, clock, element, setText, stateOf } from "./parts.js";
import { Turner } from "./turner.js";

const PICTURES = ["photo", "recon", "depth", "normal"];
const RESUMABLE = ["failed", "cancelled", "stopped"];

const jobs = new Map();
const curve = new Curve(byId("curve"));
const turner = new Turner(byId("turn"), byId("angle"), byId("swing"));
let queue = [];
let selected = location.hash.slice(1);
let shown = {}; // of the selected job: what of it is on the page
let maxUpload = Infinity;
let sent = { ids: [], count: 0, refused: [] }; // of the last photos: those that wait, all that were taken, complaints

const at = (id, rest) => `/api/jobs/${id}/${rest}`;

// ---------------------------------------------------------------- new photos

function say(text, bad = false) {
  sent.ids = []; // what was said of them gives way
  tell(text, bad);
}

function tell(text, bad) {
  byId("said").classList.toggle("bad", bad);
  setText(byId("said"), text);
}

// The form speaks of the photos that it sent for as long as they wait; once they are worked on, the list says more.
function tellSent() {
  if (!sent.ids.length) return;
  sent.ids = sent.ids.filter((id) => jobs.get(id)?.state === "waiting");
  const waiting = sent.ids.length;
  const which = sent.count === 1 ? "The photo is" : waiting === 1 ? "1 photo is" : `${waiting} photos are`;
  tell([waiting ? `${which} in the queue.` : "", ...sent.refused].join(" ").trim(), sent.refused.length > 0);
}

async function upload(files) {
  const ids = [];
  const refused = [];
  for (const [i, file] of files.entries()) {
    say(files.length > 1 ? `Sending ${i + 1} of ${files.length} ...` : "Sending ...");
    try {
      if (file.size > maxUpload) throw new Error(`It is larger than ${bytes(maxUpload)}.`);
      const form = new FormData(byId("form"));
      form.delete("photo");
      form.append("photo", file);
      const mask = byId("mask_file").files[0];
      if (mask) form.append("mask_file", mask);
      const job = await ask("/api/jobs", { method: "POST", body: form });
      if (!jobs.has(job.id)) keep(job); // else the server has told of it already, and perhaps that it runs
      ids.push(job.id);
    } catch (error) {
      refused.push(`${file.name}: ${error.message}`);
    }
  }
  byId("photo").value = byId("camera").value = "";
  say(refused.join(" "), refused.length > 0);
  sent = { ids, count: ids.length, refused };
  tellSent();
  if (ids.length) select(ids[0], true);
}

function listenForPhotos() {
  for (const id of ["photo", "camera"]) {
    byId(id).addEventListener("change", (event) => upload([...event.target.files]));
  }
  byId("form").addEventListener("submit", (event) => event.preventDefault());
  let depth = 0; // a drag enters and leaves every element on its way
  const over = (change) => {
    depth = change === 0 ? 0 : Math.max(0, depth + change);
    byId("drop").classList.toggle("over", depth > 0);
  };
  window.addEventListener("dragenter", () => over(1));
  window.addEventListener("dragleave", () => over(-1));
  window.addEventListener("dragover", (event) => event.preventDefault());
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    over(0);
    if (event.dataTransfer.files.length) upload([...event.dataTransfer.files]);
  });
}

async function fillForm() {
  const options = await ask("/api/options");
  for (const [name, offered] of Object.entries(options.choices)) {
    byId(name).replaceChildren(...offered.map((value) => element("option", { value, textContent: value })));
  }
  const usual = () => (byId("preset").value = options.usual_preset[byId("gan").value]);
  byId("gan").addEventListener("change", usual);
  usual();
  maxUpload = options.max_upload;
  setText(byId("limit"), `${Number((maxUpload / 2 ** 20).toPrecision(3))} MiB`);
  setText(byId("version"), options.version);
}

// ---------------------------------------------------------------- the list

function keep(job) {
  jobs.set(job.id, job);
  showList();
}

function showList() {
  const list = byId("list");
  const rows = new Map([...list.children].map((row) => [row.dataset.id, row]));
  const order = [...jobs.values()].sort((a, b) => b.made_s - a.made_s || (a.id < b.id ? 1 : -1));
  order.forEach((job, i) => {
    const row = rows.get(job.id) ?? newRow(job);
    rows.delete(job.id);
    const bar = row.querySelector("progress");
    setText(row.querySelector("small"), stateOf(job, queue));
    bar.hidden = job.state !== "running";
    bar.value = job.progress?.share ?? 0;
    row.firstChild.setAttribute("aria-current", String(job.id === selected));
    if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
  });
  for (const row of rows.values()) row.remove();
  byId("none").hidden = order.length > 0;
}

function newRow(job) {
  const bar = element("progress", { max: 1, ariaLabel: `Progress of ${job.name}` });
  const words = element("span", {}, element("b", { textContent: job.name }), element("small"), bar);
  const thumb = element("img", { src: at(job.id, "thumb"), alt: "", loading: "lazy" });
  const button = element("button", { type: "button", onclick: () => select(job.id, true) }, thumb, words);
  const row = element("li", {}, button);
  row.dataset.id = job.id;
  return row;
}

// ---------------------------------------------------------------- one object

function select(id, byHand = false) {
  if (id !== selected || byHand) {
    selected = id;
    history.replaceState(null, "", `#${id}`);
  }
  shown = {};
  turner.strip = null;
  curve.reset([]);
  byId("turner").hidden = byId("losses").hidden = byId("result").hidden = byId("viewer").hidden = true;
  for (const name of PICTURES) byId(`picture-${name}`).hidden = true;
  setText(byId("terms"), "");
  showList();
  showJob();
  if (byHand) byId("detail-title").focus();
  fetchMore(id);
}

async function fetchMore(id) {
  try {
    const more = await ask(`/api/jobs/${id}`);
    if (id !== selected) return;
    curve.reset(more.points);
    byId("losses").hidden = !more.points.length;
    showFiles(id, more);
  } catch (error) {
    if (id === selected && jobs.has(id)) say(error.message, true);
  }
}

function showJob() {
  const job = jobs.get(selected);
  byId("detail").hidden = !job;
  if (!job) return;
  setText(byId("detail-title"), job.name);
  const chosen = [job.wishes.gan, job.wishes.preset, job.wishes.seed ? `seed ${job.wishes.seed}` : ""];
  const state = [stateOf(job, queue), job.message].filter(Boolean).join(". ").replace("..", ".");
  setText(byId("state"), `${state} (${chosen.filter(Boolean).join(", ")})`);
  byId("state").classList.toggle("bad", job.state === "failed");
  setText(byId("spoken"), `${job.name}: ${state}`);
  byId("working").hidden = job.state !== "running";
  byId("notes").replaceChildren(...job.notes.map((note) => element("li", { textContent: note })));
  showProgress(job);
  showActions(job);
  showPreview(job);
}

function showProgress(job) {
  const p = job.progress;
  byId("bar").value = p?.share ?? 0;
  if (!p) return setText(byId("now"), "");
  const step = job.phases.indexOf(p.phase) + 1;
  const left = p.left_s === null ? "" : `, about ${clock(p.left_s)} left`;
  setText(byId("now"), `Step ${step} of ${job.phases.length}, ${p.phase}: ${p.done} of ${p.total}${left}`);
  const terms = Object.entries(p.terms).map(([name, value]) => `${name} ${Number(value).toPrecision(3)}`);
  setText(byId("terms"), terms.join("  "));
}

function showActions(job) {
  const key = `${job.id} ${job.state} ${job.stopping}`;
  if (shown.actions === key) return;
  shown.actions = key;
  const made = [];
  const act = (text, plain, work) => {
    const button = element("button", { type: "button", textContent: text, className: plain ? "plain" : "" });
    button.onclick = async () => {
      button.disabled = true;
      try {
        await work();
      } catch (error) {
        say(error.message, true);
        button.disabled = false;
      }
    };
    made.push(button);
  };
  const post = (what) => () => ask(at(job.id, what), { method: "POST" });
  if (job.state === "done") {
    made.push(element("a", { className: "button", href: at(job.id, "zip"), textContent: "Download everything" }));
  }
  if (RESUMABLE.includes(job.state)) act(job.state === "failed" ? "Try again" : "Resume", false, post("resume"));
  if (["waiting", "running"].includes(job.state)) act("Cancel", true, post("cancel"));
  else act("Delete", true, () => confirm(`Delete ${job.name} and its result?`) &&
    ask(`/api/jobs/${job.id}`, { method: "DELETE" }));
  if (job.stopping) made.at(-1).disabled = true;
  byId("actions").replaceChildren(...made);
}

async function showPreview(job) {
  const key = [job.id, job.previews, ...job.pictures].join(" ");
  if (shown.preview === key) return;
  shown.preview = key;
  const picture = (name) => `${at(job.id, `preview/${name}`)}?${job.previews}`;
  const seen = PICTURES.filter((name) => job.pictures.includes(name)).map(async (name) => {
    const fresh = element("img", { src: picture(name) });
    await fresh.decode();
    if (job.id !== selected) return;
    const image = byId(`picture-${name}`);
    image.src = fresh.src;
    image.hidden = false;
  });
  if (job.pictures.includes("turn")) {
    seen.push(turner.show(picture("turn")).then(() => {
      if (job.id === selected) byId("turner").hidden = !byId("viewer").hidden;
    }));
  }
  await Promise.allSettled(seen); // a picture of a job that was deleted meanwhile is not missed
}

function showFiles(id, more) {
  const names = Object.keys(more.files);
  byId("result").hidden = !names.length;
  byId("files").replaceChildren(...names.map((name) => element("li", {},
    element("a", { href: `${at(id, `files/${encodeURIComponent(name)}`)}?download`, textContent: name }),
    element("span", { className: "numbers", textContent: bytes(more.files[name]) }))));
  const frame = byId("viewer");
  frame.hidden = !more.viewer;
  if (more.viewer) {
    byId("turner").hidden = true;
    if (frame.dataset.of !== id) frame.src = at(id, "viewer");
    frame.dataset.of = id;
  }
}

// ---------------------------------------------------------------- what the server tells

const hear = {
  all(message) {
    jobs.clear();
    queue = message.queue;
    for (const job of message.jobs) jobs.set(job.id, job);
    if (!jobs.has(selected)) selected = message.jobs.at(-1)?.id ?? "";
    if (selected) select(selected);
    else showJob();
    showList();
    tellSent();
  },
  job({ job }) {
    const before = jobs.get(job.id)?.state;
    keep(job);
    tellSent();
    if (job.id !== selected) return;
    showJob();
    if (job.state !== before && (job.state === "done" || job.state === "running")) fetchMore(job.id);
  },
  progress(message) {
    const job = jobs.get(message.id);
    if (!job) return;
    const phase = job.progress?.phase;
    job.progress = message;
    showList();
    if (job.id !== selected) return;
    if (phase !== message.phase) showJob();
    else showProgress(job);
    curve.add(message.phase, message.loss);
    byId("losses").hidden = false;
    curve.draw();
  },
  queue({ ids }) {
    queue = ids;
    showList();
    showJob();
  },
  gone({ id }) {
    jobs.delete(id);
    tellSent();
    if (id === selected) {
      selected = [...jobs.keys()].at(-1) ?? "";
      if (selected) select(selected);
      else showJob();
    }
    showList();
  },
};

function listen() {
  const source = new EventSource("/api/events");
  source.onopen = () => (byId("lost").hidden = true);
  source.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    hear[message.event](message);
  };
  source.onerror = async () => {
    byId("lost").hidden = false;
    setText(byId("lost"), "The server does not answer; the page goes on when it is back.");
    if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    try {
      await ask("/api/options");
    } catch (error) {
      setText(byId("lost"), error.message);
    }
    setTimeout(listen, 3000);
  };
}

history.replaceState(null, "", `/${location.hash}`); // the token is in a cookie now
listenForPhotos();
fillForm().then(listen, (error) => {
  byId("lost").hidden = false;
  setText(byId("lost"), error.message);
});
window.addEventListener("resize", () => curve.draw());
