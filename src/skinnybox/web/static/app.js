// What makes the pages quicker. Each works without it: it adds no way to do anything that a form does not have.
const all = (selector, within = document) => Array.from(within.querySelectorAll(selector));
const one = (selector, within = document) => within.querySelector(selector);

// Marks on rows outlive the refresh of the rows, and are counted.
const marked = new Set();
const boxes = () => all('#rows input[name="names"]');

function countMarks() {
  const found = boxes();
  const count = found.filter((box) => box.checked).length;
  for (const place of all("[data-marked]")) place.textContent = count ? `${count} marked` : "";
  const whole = one("[data-mark-all]");
  if (whole) {
    whole.checked = count > 0 && count === found.length;
    whole.indeterminate = count > 0 && count < found.length;
  }
}

let lastBox = null;
document.addEventListener("click", (event) => {
  const box = event.target;
  if (!(box instanceof HTMLInputElement) || box.name !== "names") return;
  if (event.shiftKey && lastBox) {
    const found = boxes();
    const ends = [found.indexOf(box), found.indexOf(found.find((each) => each.id === lastBox))].sort((a, b) => a - b);
    if (ends[0] >= 0) for (const each of found.slice(ends[0], ends[1] + 1)) each.checked = box.checked;
  }
  lastBox = box.id;
  countMarks();
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-mark-all]")) for (const box of boxes()) box.checked = event.target.checked;
  countMarks();
});
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target.id !== "rows") return;
  marked.clear();
  for (const box of boxes()) if (box.checked) marked.add(box.id);
});
document.addEventListener("htmx:afterSwap", () => {
  for (const box of boxes()) if (marked.has(box.id)) box.checked = true;
  countMarks();
});

// An address says what was chosen, and nothing of what was not.
document.addEventListener("htmx:configRequest", (event) => {
  if (event.detail.verb !== "get") return;
  const said = event.detail.parameters;
  for (const key of Object.keys(said)) if (said[key] === "") delete said[key];
});

// What asks again by itself rests while nobody looks.
document.addEventListener("htmx:beforeRequest", (event) => {
  const trigger = event.detail.elt.getAttribute("hx-trigger") || "";
  if (document.hidden && trigger.includes("every")) event.preventDefault();
});
let quiet = false;
document.addEventListener("htmx:sendError", () => {
  if (!quiet) note("The server does not answer. This page is tried again by itself.", "warn");
  quiet = true;
});
document.addEventListener("htmx:responseError", (event) => {
  const { elt, target, xhr } = event.detail;
  const isText = (xhr.getResponseHeader("content-type") || "").startsWith("text/html");
  const text = isText && new DOMParser().parseFromString(xhr.responseText, "text/html").body.textContent;
  const said = text || `The server said ${xhr.status}.`;
  const once = /load|once/.test(elt.getAttribute("hx-trigger") || "");
  if (once && target) target.textContent = said;
  else note(said, "bad");
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful && quiet) { quiet = false; one("#note").textContent = ""; }
});
function note(text, tone) {
  const line = document.createElement("p");
  line.className = `note ${tone}`;
  line.textContent = text;
  one("#note")?.replaceChildren(line);
}

// Keys: / to search, j and k along the rows, x to mark, Enter to open.
function step(by) {
  const rows = all("tbody tr").filter((row) => one("a", row));
  if (!rows.length) return;
  const here = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[Math.max(0, Math.min(rows.length - 1, here < 0 ? 0 : here + by))];
  one("th a, a", next).focus();
}
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=checkbox]), textarea, select, .xterm *");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && event.target.matches("[data-search]")) event.target.blur();
  if (typing) return;
  if (event.key === "/" && one("[data-search]")) {
    event.preventDefault();
    one("[data-search]").select();
  }
  if (event.key === "j") step(1);
  if (event.key === "k") step(-1);
  if (event.key === "x") document.activeElement.closest("tr")?.querySelector('input[type="checkbox"]')?.click();
});

// Text that is there to be taken along.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(one(button.dataset.copy).textContent);
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = before; }, 1500);
});
countMarks();
