// The page that enlarges in the browser alone: tiles go to worker.js and come back larger.

const TILE = 256; // pixels of the photo that one tile adds to the result, on each side
const LARGEST = 16000 * 16000; // pixels of a canvas, roughly what browsers hold

const byId = (id) => document.getElementById(id);
const status = (text) => { byId("status").textContent = text; };

// Threads need two headers. Where the web server does not send them, isolate.js adds them from the
// second time on that the page is loaded, which is at once.
async function isolate() {
  if (crossOriginIsolated || !isSecureContext || !navigator.serviceWorker) {
    return;
  }
  await navigator.serviceWorker.register("isolate.js");
  await navigator.serviceWorker.ready;
  if (!sessionStorage.getItem("isolated")) {
    sessionStorage.setItem("isolated", "tried"); // once, so that it never reloads again and again
    location.reload();
    await new Promise(() => {}); // until then
  }
}

await isolate().catch(() => {}); // without threads it is slower, and works all the same
const facts = await (await fetch("models.json")).json();
for (const model of facts.models) {
  byId("model").add(new Option(`${model.name}: ${model.summary}`, model.name));
}
for (const scale of facts.scales) {
  byId("scale").add(new Option(String(scale), String(scale)));
}

let worker = null;
let job = 0; // counts runs, so that a late answer to an old one is left alone

function ask(message) {
  return new Promise((resolve, reject) => {
    worker ??= new Worker("worker.js", { type: "module" });
    worker.onmessage = (event) => {
      if (event.data.error) {
        reject(new Error(event.data.error));
      } else {
        resolve(event.data);
      }
    };
    worker.onerror = (event) => reject(new Error(event.message || "the model cannot be loaded"));
    worker.postMessage(message);
  });
}

function stop() {
  job += 1;
  worker?.terminate();
  worker = null;
  byId("stop").disabled = true;
  byId("start").disabled = false;
  byId("progress").hidden = true;
}

function cut() {
  const share = byId("slider").value;
  byId("before").style.clipPath = `inset(0 ${100 - share}% 0 0)`;
  byId("line").style.left = `${share}%`;
}

async function enlarge(file) {
  const mine = (job += 1);
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name} is not a picture that this browser can read.`);
  });
  const { width, height } = bitmap;
  const scale = Number(byId("scale").value);
  if (width * height * scale * scale > LARGEST) {
    throw new Error("The result would be too large for a browser: choose a smaller factor.");
  }
  const before = byId("before");
  before.width = width;
  before.height = height;
  const source = before.getContext("2d", { willReadFrequently: true });
  source.fillStyle = "white"; // under transparency
  source.fillRect(0, 0, width, height);
  source.drawImage(bitmap, 0, 0);
  const after = byId("after");
  after.width = width * scale;
  after.height = height * scale;
  const goal = after.getContext("2d");
  byId("progress").hidden = false;
  byId("save").hidden = true;
  const started = performance.now();
  const columns = Math.ceil(width / TILE);
  const count = columns * Math.ceil(height / TILE);
  for (let number = 0; number < count; number += 1) {
    // A tile brings pixels around it along, as many as the network looks at.
    const left = (number % columns) * TILE;
    const top = Math.floor(number / columns) * TILE;
    const x = Math.max(0, left - facts.context);
    const y = Math.max(0, top - facts.context);
    const right = Math.min(width, left + TILE + facts.context);
    const bottom = Math.min(height, top + TILE + facts.context);
    const data = source.getImageData(x, y, right - x, bottom - y).data;
    const model = `${byId("model").value}_x${scale}.onnx`;
    const tile = await ask({ model, data, width: right - x, height: bottom - y });
    if (mine !== job) {
      return;
    }
    const made = new ImageData(tile.output, tile.width, tile.height);
    const inner = [(left - x) * scale, (top - y) * scale];
    const size = [Math.min(TILE, width - left) * scale, Math.min(TILE, height - top) * scale];
    goal.putImageData(made, left * scale - inner[0], top * scale - inner[1], ...inner, ...size);
    const share = (number + 1) / count;
    const rest = ((performance.now() - started) / 1000) * (1 / share - 1);
    byId("progress").value = share;
    status(`${Math.round(100 * share)} %, about ${Math.ceil(rest)} s left`);
  }
  const seconds = (performance.now() - started) / 1000;
  byId("view").hidden = false;
  cut();
  const blob = await new Promise((resolve) => { after.toBlob(resolve, "image/png"); });
  const save = byId("save");
  URL.revokeObjectURL(save.href);
  save.href = URL.createObjectURL(blob);
  save.download = `${file.name.replace(/\.[^.]*$/, "")}_x${scale}.png`;
  save.hidden = false;
  status(`Done in ${seconds.toFixed(1)} s: ${after.width} x ${after.height} pixels.`);
}

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [file] = byId("photo").files;
  if (!file) {
    status("There is no photo yet: choose one.");
    return;
  }
  byId("start").disabled = true;
  byId("stop").disabled = false;
  status("Loading.");
  try {
    await enlarge(file);
  } catch (error) {
    status(error.message);
  }
  byId("stop").disabled = true;
  byId("start").disabled = false;
  byId("progress").hidden = true;
});
byId("stop").addEventListener("click", () => {
  stop();
  status("Stopped.");
});
byId("slider").addEventListener("input", cut);
