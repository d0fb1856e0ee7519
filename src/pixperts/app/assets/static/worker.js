// Enlarges one tile after the other, beside the page, so that that stays awake and can end the work.
// A tile is [pixels as RGBA bytes, width, height]; the answer is the same, larger.

import * as ort from "./ort/ort.wasm.bundle.min.mjs";

ort.env.wasm.wasmPaths = {
  wasm: new URL("./ort/ort-wasm-simd-threaded.wasm", import.meta.url).href,
};
// Threads need memory that is shared, which browsers allow to pages with certain headers only.
const MOST_THREADS = 8;
ort.env.wasm.numThreads = self.crossOriginIsolated
  ? Math.min(MOST_THREADS, navigator.hardwareConcurrency)
  : 1;

let session = null;
let opened = "";

async function open(name) {
  if (opened !== name) {
    session = await ort.InferenceSession.create(new URL(name, import.meta.url).href);
    opened = name;
  }
}

async function enlarge(data, width, height) {
  const count = width * height;
  const input = new Float32Array(3 * count);
  for (let i = 0; i < count; i += 1) {
    for (let c = 0; c < 3; c += 1) {
      input[c * count + i] = data[4 * i + c] / 255;
    }
  }
  const tensor = new ort.Tensor("float32", input, [1, 3, height, width]);
  const result = (await session.run({ image: tensor })).enlarged;
  const [, , newHeight, newWidth] = result.dims;
  const size = newWidth * newHeight;
  const output = new Uint8ClampedArray(4 * size); // rounds to the nearest
  for (let i = 0; i < size; i += 1) {
    for (let c = 0; c < 3; c += 1) {
      output[4 * i + c] = 255 * result.data[c * size + i];
    }
    output[4 * i + 3] = 255;
  }
  return [output, newWidth, newHeight];
}

self.onmessage = async (event) => {
  const { model, data, width, height } = event.data;
  try {
    await open(model);
    const [output, newWidth, newHeight] = await enlarge(data, width, height);
    self.postMessage({ output, width: newWidth, height: newHeight }, [output.buffer]);
  } catch (error) {
    self.postMessage({ error: String(error.message || error) });
  }
};
