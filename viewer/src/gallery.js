// The gallery's first page: what is shown, in which groups, and the wipe between two.

const { cards } = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const grid = at("grid");
const shown = new Map([...grid.querySelectorAll("article")].map((article) => [article.dataset.slug, article]));
const keys = ["category", "prior", "preset"];
let picked = [];

function arrange() {
  const kept = cards.filter((card) => keys.every((key) => !at(key).value || at(key).value === card[key]));
  const group = at("group").value;
  const names = group ? [...new Set(kept.map((card) => card[group]))].sort() : [""];
  grid.replaceChildren();
  for (const name of names) {
    if (group) {
      const heading = document.createElement("h2");
      heading.className = "group";
      heading.textContent = name;
      grid.append(heading);
    }
    for (const card of kept) if (!group || card[group] === name) grid.append(shown.get(card.slug));
  }
  at("count").textContent = kept.length === 1 ? "1 object" : `${kept.length} objects`;
}

function wipe() {
  const part = Number(at("wipe").value);
  at("first").style.clipPath = `inset(0 ${100 - part}% 0 0)`;
  at("edge").style.left = `${part}%`;
}

function compare() {
  at("compare").hidden = picked.length < 2;
  for (const box of document.querySelectorAll(".pick input")) box.checked = picked.includes(box.value);
  if (picked.length < 2) return;
  for (const [index, id] of ["first", "second"].entries()) {
    const card = cards.find((one) => one.slug === picked[index]);
    at(id).src = at(`${id}-whole`).src = `${card.slug}.${at("kind").value}.jpg`;
    at(`${id}-whole`).alt = `${card.name}: ${at("kind").selectedOptions[0].textContent}`;
    at(`${id}-name`).textContent = [card.name, card.line].filter(Boolean).join(" · ");
  }
  wipe();
}

for (const id of [...keys, "group"]) at(id).addEventListener("change", arrange);
for (const [slug, article] of shown)
  article.querySelector(".pick input").addEventListener("change", (event) => {
    picked = event.target.checked ? [...picked, slug].slice(-2) : picked.filter((one) => one !== slug);
    compare();
    if (picked.length === 2) at("compare").scrollIntoView({ block: "nearest" });
  });
at("kind").addEventListener("change", compare);
at("wipe").addEventListener("input", wipe);
at("close").addEventListener("click", () => {
  picked = [];
  compare();
});
arrange();
compare();
document.documentElement.dataset.ready = "yes";
