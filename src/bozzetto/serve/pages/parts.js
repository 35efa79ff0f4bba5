// Small parts of the page. Text that others wrote only ever becomes text, never markup.

export const byId = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((n) => String(n).padStart(2, "0"));
  return whole >= 3600 ? `${Math.floor(whole / 3600)}:${parts.join(":")}` : `${Number(parts[0])}:${parts[1]}`;
}

export function bytes(count) {
  return count < 1000 ? `${count} B` : count < 1e6 ? `${(count / 1e3).toFixed(0)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

// The answer as JSON; an Error with the server's own sentence where it refused.
export async function ask(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Error("The server does not answer; is it still running?");
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.error || `The server answered ${answer.status}.`);
  return told;
}

export function stateOf(job, queue) {
  const place = queue.indexOf(job.id);
  if (job.state === "waiting") return place > 0 ? `Waiting, ${place} before it` : "Waiting, next in turn";
  if (job.state === "running" && job.stopping) return "Stopping";
  if (job.state === "running") return job.progress ? `Working: ${job.progress.phase}` : "Starting";
  return { done: "Done", failed: "Failed", cancelled: "Cancelled", stopped: "Stopped" }[job.state];
}
