// A terminal on a machine's serial console. What the guest prints is a stranger's: the server has taken out all that
// is more than text, colours and places; what is left of such orders is not obeyed here either.
const script = document.querySelector("script[data-console]");
const place = document.querySelector("#line");
const now = document.querySelector("#line-now");

// xterm.js writes styles as text, which the page's policy refuses. As sheets of objects they are the same, and allowed.
const make = document.createElement.bind(document);
document.createElement = (name, ...more) => {
  if (name !== "style") return make(name, ...more);
  const made = make("span");
  made.hidden = true;
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  Object.defineProperty(made, "textContent", { set: (text) => sheet.replaceSync(text), get: () => "" });
  return made;
};
const set = Element.prototype.setAttribute;
Element.prototype.setAttribute = function (name, value) {
  if (name === "style") this.style.cssText = value;
  else set.call(this, name, value);
};

function load(address) {
  return new Promise((done, failed) => {
    const part = make("script");
    part.src = address;
    part.onload = done;
    part.onerror = failed;
    document.head.append(part);
  });
}

const OSC = [0, 1, 2, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 17, 19, 22, 50, 52, 99, 104, 105, 110, 111, 112, 117, 119, 133, 633, 777, 1337];

function terminal() {
  const made = new window.Terminal({
    cursorBlink: true, scrollback: 5000, fontSize: 13, screenReaderMode: true, allowProposedApi: false,
    fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
    theme: { background: "#10141c", foreground: "#e6e9ef", cursor: "#ff9d57", selectionBackground: "#3e4e6d" },
    linkHandler: { activate() {} }, windowOptions: {},
  });
  for (const number of OSC) made.parser.registerOscHandler(number, () => true);
  for (const final of ["t"]) made.parser.registerCsiHandler({ final }, () => true);
  return made;
}

const MOST_WAITING = 4096;

function connect(term) {
  const address = new URL(script.dataset.console, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const line = new WebSocket(address);
  line.binaryType = "arraybuffer";
  let waiting = [];
  line.onopen = () => {
    now.textContent = "Connected.";
    for (const typed of waiting) send(typed);
    waiting = [];
    term.focus();
  };
  line.onmessage = (event) => {
    if (typeof event.data === "string") now.textContent = event.data;
    else term.write(new Uint8Array(event.data));
  };
  let said = "";
  line.onclose = (event) => {
    said = now.textContent;
    now.textContent = event.code === 1008 || event.code === 1006 ? "The connection could not be made, or broke. " : said === "Connected." ? "The console was closed. " : `${said}. `;
    const again = make("button");
    again.type = "button";
    again.textContent = "Connect again";
    again.onclick = () => { input.dispose(); connect(term); };
    now.append(again);
  };
  const encode = new TextEncoder();
  const send = (typed) => {
    const bytes = encode.encode(typed);
    for (let at = 0; at < bytes.length && line.readyState === 1; at += 4096) line.send(bytes.slice(at, at + 4096));
  };
  // What is typed before it is connected waits for that, as far as a person types; a whole text pasted then does not.
  const input = term.onData((typed) => {
    if (line.readyState !== 0) send(typed);
    else if (waiting.join("").length + typed.length <= MOST_WAITING) waiting.push(typed);
  });
}

async function begin() {
  now.textContent = "Connecting …";
  for (const address of script.dataset.parts.split(" ")) await load(address);
  place.hidden = false;
  document.querySelector("#line-help").hidden = false;
  const term = terminal();
  const fit = new window.FitAddon.FitAddon();
  term.loadAddon(fit);
  term.open(place);
  fit.fit();
  addEventListener("resize", () => fit.fit());
  connect(term);
}
begin();
