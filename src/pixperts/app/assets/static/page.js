// The page that enlarges in the browser alone: tiles go to several worker.js and come back larger.

const TILE = 384; // pixels of the photo that one tile adds to the result, on each side, at most
const LARGEST = 16000 * 16000; // pixels of a canvas, roughly what browsers hold
// A worker takes about 0.3 GB. Not all browsers tell how much memory there is.
const MOST_WORKERS = (navigator.deviceMemory ?? 4) >= 8 ? 8 : 4;
const CORES = Math.min(MOST_WORKERS, navigator.hardwareConcurrency || 2);

const byId = (id) => document.getElementById(id);
const status = (text) => { byId("status").textContent = text; };

const facts = await (await fetch("models.json")).json();
for (const model of facts.models) {
  byId("model").add(new Option(`${model.name}: ${model.summary}`, model.name));
}
for (const scale of facts.scales) {
  byId("scale").add(new Option(String(scale), String(scale)));
}

let workers = [];
let job = 0; // counts runs, so that a late answer to an old one is left alone
let gpu = facts.webgpu && (await hasGpu());

async function hasGpu() {
  try {
    return (await navigator.gpu.requestAdapter()) !== null;
  } catch {
    return false; // a browser without WebGPU
  }
}

function ask(number, message) {
  workers[number] ??= new Worker("worker.js", { type: "module" });
  const worker = workers[number];
  return new Promise((resolve, reject) => {
    worker.onmessage = (event) => {
      if (event.data.error) {
        reject(new Error(event.data.error));
      } else {
        resolve(event.data);
      }
    };
    worker.onerror = (event) => reject(new Error(event.message || "The model cannot be loaded."));
    worker.postMessage(message, [message.data.buffer]);
  });
}

function stop() {
  job += 1;
  for (const worker of workers) {
    worker?.terminate();
  }
  workers = [];
}

// The tiles of a picture: equal ones, and if possible as many for each worker.
function grid(width, height, count) {
  const columns = Math.ceil(width / TILE);
  const fewest = Math.ceil(height / TILE);
  const even = [...Array(count).keys()].find((more) => (columns * (fewest + more)) % count === 0);
  const rows = columns * fewest > 1 ? fewest + even : 1;
  const cuts = (length, parts) =>
    [...Array(parts + 1).keys()].map((place) => Math.round((place * length) / parts));
  const [across, down] = [cuts(width, columns), cuts(height, rows)];
  const tiles = [];
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      tiles.push({
        left: across[column], right: across[column + 1], top: down[row], bottom: down[row + 1],
      });
    }
  }
  return tiles;
}

// One tile. It brings pixels around it along, as many as the network looks at.
async function enlargeTile(number, tile, source, goal, model, scale) {
  const { width, height } = source.canvas;
  const x = Math.max(0, tile.left - facts.context);
  const y = Math.max(0, tile.top - facts.context);
  const right = Math.min(width, tile.right + facts.context);
  const bottom = Math.min(height, tile.bottom + facts.context);
  const { data } = source.getImageData(x, y, right - x, bottom - y);
  const mine = job;
  const made = await ask(number, { model, gpu, data, width: right - x, height: bottom - y });
  if (mine === job) {
    const inner = [(tile.left - x) * scale, (tile.top - y) * scale];
    const size = [(tile.right - tile.left) * scale, (tile.bottom - tile.top) * scale];
    const pixels = new ImageData(made.output, made.width, made.height);
    goal.putImageData(pixels, x * scale, y * scale, ...inner, ...size);
  }
}

// Where the judge looks along one side: evenly spread pieces, all of a short side.
function spans(length, { side, most }) {
  if (length <= side) {
    return [[0, length]];
  }
  const count = Math.min(most, Math.ceil(length / side));
  return [...Array(count).keys()].map((number) => {
    const start = Math.floor((number * (length - side)) / (count - 1));
    return [start, side];
  });
}

// The ending of the model's graph for this picture. Models of several networks have a judge, which
// estimates the squared error of each in pieces of the picture; sums over all pieces are compared.
async function endingFor(model, source, scale) {
  const { judge, members } = model;
  if (!judge) {
    return "";
  }
  const { width, height } = source.canvas;
  const [rows, columns] = [spans(height, judge), spans(width, judge)];
  // Sides that are too short are filled up with the last pixels.
  const [tall, wide] = [rows[0][1], columns[0][1]].map((side) => Math.max(side, judge.least));
  const size = 4 * tall * wide;
  const data = new Uint8ClampedArray(rows.length * columns.length * size);
  let piece = 0;
  for (const [top, high] of rows) {
    for (const [left, broad] of columns) {
      const pixels = source.getImageData(left, top, broad, high).data;
      for (let y = 0; y < tall; y += 1) {
        for (let x = 0; x < wide; x += 1) {
          const from = 4 * (Math.min(y, high - 1) * broad + Math.min(x, broad - 1));
          data.set(pixels.subarray(from, from + 4), piece * size + 4 * (y * wide + x));
        }
      }
      piece += 1;
    }
  }
  const graph = `${model.name}_judge.onnx`;
  const { errors } = await ask(0, { judge: graph, gpu, scale, data, width: wide, height: tall });
  const clean = errors[1] < judge.clean_below * errors[0];
  return clean ? `_${members[1]}` : "";
}

async function enlargeAll(source, goal, model, scale, mine) {
  const { width, height } = source.canvas;
  const count = gpu ? 1 : CORES;
  const tiles = grid(width, height, count);
  const started = performance.now();
  let next = 0;
  let done = 0;
  const work = async (_, number) => {
    while (next < tiles.length && mine === job) {
      const tile = tiles[next];
      next += 1;
      await enlargeTile(number, tile, source, goal, model, scale);
      done += 1;
      if (mine === job) {
        const rest = ((performance.now() - started) / 1000) * (tiles.length / done - 1);
        byId("progress").value = done / tiles.length;
        status(`${Math.round((100 * done) / tiles.length)} %, about ${Math.ceil(rest)} s left`);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, tiles.length) }, work));
}

function cut() {
  const share = byId("slider").value;
  byId("before").style.clipPath = `inset(0 ${100 - share}% 0 0)`;
  byId("line").style.left = `${share}%`;
}

async function enlarge(file) {
  const mine = (job += 1);
  const model = facts.models[byId("model").selectedIndex];
  const scale = Number(byId("scale").value);
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name} is not a picture that this browser can read.`);
  });
  if (mine !== job) {
    return;
  }
  const { width, height } = bitmap;
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
  const started = performance.now();
  try {
    const ending = await endingFor(model, source, scale);
    if (mine !== job) {
      return;
    }
    await enlargeAll(source, goal, `${model.name}_x${scale}${ending}.onnx`, scale, mine);
  } catch (error) {
    if (!gpu || mine !== job) {
      throw error;
    }
    gpu = false; // it may lack memory, or an operation; the processor can do it
    stop();
    return enlarge(file);
  }
  if (mine !== job) {
    return;
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
  const how = gpu ? " on the GPU" : "";
  status(`Done in ${seconds.toFixed(1)} s${how}: ${after.width} x ${after.height} pixels.`);
}

function show(busy) {
  byId("start").disabled = busy;
  byId("stop").disabled = !busy;
  byId("progress").hidden = !busy;
}

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [file] = byId("photo").files;
  if (!file) {
    status("There is no photo yet: choose one.");
    return;
  }
  byId("progress").value = 0;
  byId("save").hidden = true;
  show(true);
  status("Loading.");
  try {
    await enlarge(file);
  } catch (error) {
    stop();
    status(error.message);
  }
  show(false);
});
byId("stop").addEventListener("click", () => {
  stop();
  show(false);
  status("Stopped.");
});
byId("slider").addEventListener("input", cut);
